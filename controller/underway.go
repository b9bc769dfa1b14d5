package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/internal/daemon"
)

// startTask is the task of a cell that is worked on from now on. What it asks for counts at once; answered
// has to follow.
func (u update) startTask(cell daemon.CellKey) task {
	task := u.task(cell)
	if known := u.daemons[ownerOf(cell)]; known != nil {
		known.cells.Sent(cell.Node, task.Actions, u.now)
		u.goOn(ownerOf(cell), known)
	}
	return task
}

// answered notes how the requests of a plan ended: what may have been done counts as done for the limits
// of the rollout (S4).
func (u update) answered(cell daemon.CellKey, made, lost bool) {
	known := u.daemons[ownerOf(cell)]
	if known == nil {
		return
	}
	if lost {
		known.cells.Lost(cell.Node, u.now)
	} else {
		known.cells.Answered(cell.Node, made, u.now)
	}
	u.goOn(ownerOf(cell), known)
}

// settleDoubts reads from the API server whether pods are there whose delete was never answered: another
// one must not be deleted because one of these seems to be available (S4).
func (a *actor) settleDoubts(ctx context.Context, cell daemon.CellKey, doubts []*daemon.Pod) error {
	for _, doubt := range doubts {
		var pod corev1.Pod
		err := a.reader.Get(ctx, client.ObjectKey{Namespace: cell.Namespace, Name: doubt.Name}, &pod)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading whether pod %s was deleted: %w", doubt.Name, err)
		}
		if err == nil && pod.UID == doubt.UID && pod.DeletionTimestamp == nil {
			a.world.kept(cell, doubt.UID)
		} else {
			a.world.deleted(cell, doubt.UID)
		}
	}
	a.world.wake([]daemon.CellKey{cell})
	return nil
}

// kept notes that a pod is there whose delete may have been carried out.
func (u update) kept(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[ownerOf(cell)]; ok {
		known.cells.Kept(cell.Node, pod, u.now)
	}
}
