package cells

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// ask reads from the API server what has to be known before anything is planned, and plans the cell again.
func (r *Reconciler) ask(ctx context.Context, cell daemon.CellKey, task *task) error {
	err := r.settleDoubts(ctx, cell, task.Doubts)
	if err == nil && task.Missed {
		err = r.look(ctx, cell, task)
	}
	if err == nil {
		r.state.Run(&model.WakeCells{Cells: []daemon.CellKey{cell}})
	}
	return err
}

// settleDoubts reads whether pods exist whose delete was never answered: no other pod must be deleted because one of
// these appears to be available (S4).
func (r *Reconciler) settleDoubts(ctx context.Context, cell daemon.CellKey, doubts []*daemon.Pod) error {
	for _, doubt := range doubts {
		var pod corev1.Pod
		err := r.reader.Get(ctx, client.ObjectKey{Namespace: cell.Namespace, Name: doubt.Name}, &pod)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading whether pod %s was deleted: %w", doubt.Name, err)
		}
		if err == nil && pod.UID == doubt.UID && pod.DeletionTimestamp == nil {
			r.state.Update(func(u model.Update) { u.Kept(cell, doubt.UID) })
		} else {
			r.state.Update(func(u model.Update) { u.Deleted(cell, doubt.UID) })
		}
	}
	return nil
}

// look reads whether a pod exists that was requested a while ago, and that the watch does not show: no other node must
// surge because this one appears not to (S4).
func (r *Reconciler) look(ctx context.Context, cell daemon.CellKey, task *task) error {
	for _, name := range task.Names {
		var pod corev1.Pod
		err := r.reader.Get(ctx, client.ObjectKey{Namespace: cell.Namespace, Name: name}, &pod)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading whether pod %s was created: %w", name, err)
		}
		if err == nil && task.Workload.Controls(&pod) {
			r.state.Update(func(u model.Update) { u.Made(cell, pod.UID) })
			return nil
		}
	}
	r.state.Update(func(u model.Update) { u.Unmade(cell) })
	return nil
}
