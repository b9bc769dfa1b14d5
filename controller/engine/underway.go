package engine

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/internal/daemon"
)

// settleDoubts reads from the API server whether pods exist whose delete was never answered: no other pod must
// be deleted because one of these seems to be available (S4).
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
