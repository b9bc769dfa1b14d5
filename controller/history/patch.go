package history

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

func (r *Reconciler) renumber(ctx context.Context, subject *model.Subject, step daemon.HistoryStep) error {
	return r.patch(ctx, subject, step.Record, types.MergePatchType, map[string]any{"metadata": stateOf(step.Record), "revision": step.Number})
}

// annotate records the state of a rollout; an annotation without a value is removed.
func (r *Reconciler) annotate(ctx context.Context, subject *model.Subject, record daemon.Record, change map[string]string) error {
	annotations := map[string]any{}
	for name, value := range change {
		if annotations[name] = value; value == "" {
			annotations[name] = nil
		}
	}
	metadata := stateOf(record)
	metadata["annotations"] = annotations
	return r.patch(ctx, subject, record, types.MergePatchType, map[string]any{"metadata": metadata})
}

// stateOf is the precondition of a patch: the object in the planned state (S5).
func stateOf(record daemon.Record) map[string]any {
	return map[string]any{"uid": record.UID, "resourceVersion": record.ResourceVersion}
}

// patch changes a ControllerRevision unless it is gone or has changed: that is an event, which triggers another
// call. The rest of this pass is skipped then.
func (r *Reconciler) patch(ctx context.Context, subject *model.Subject, record daemon.Record, kind types.PatchType, change map[string]any) error {
	patch, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("patching ControllerRevision %s: %w", record.Name, err)
	}
	return answered(r.client.Patch(ctx, named(subject, record), client.RawPatch(kind, patch)), "patching ControllerRevision "+record.Name)
}

// answered is what the answer to a patch means for a pass over a daemon's history.
func answered(answer error, doing string) error {
	switch {
	case answer == nil:
		return nil
	case apierrors.IsNotFound(answer):
		return errOutdated
	case apierrors.IsConflict(answer):
		return errChanged
	}
	return fmt.Errorf("%s: %w", doing, answer)
}

// delete deletes exactly the planned ControllerRevision (S5).
func (r *Reconciler) delete(ctx context.Context, subject *model.Subject, record daemon.Record) error {
	err := r.client.Delete(ctx, named(subject, record), client.Preconditions{UID: &record.UID})
	switch {
	case apierrors.IsConflict(err):
		return errChanged
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("deleting ControllerRevision %s: %w", record.Name, err)
	}
	return nil
}

func named(subject *model.Subject, record daemon.Record) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: subject.Workload.Key.Namespace, Name: record.Name}}
}
