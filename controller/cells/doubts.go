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

// settleDoubts reads from the API server whether pods exist whose delete was never answered: no other pod must
// be deleted because one of these appears to be available (S4).
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
	r.state.Run(&model.WakeCells{Cells: []daemon.CellKey{cell}})
	return nil
}
