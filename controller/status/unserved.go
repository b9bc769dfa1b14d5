package status

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/daemonset"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// unserved returns a daemon that cannot be served, and why; nil for any other.
func (r *Reconciler) unserved(key model.DaemonKey) (object *v1alpha1.DaemonSet, problem daemon.Problem) {
	r.state.Update(func(u model.Update) { object, problem = u.Unserved(key) })
	return object, problem
}

// reportUnserved writes the conditions of a daemon that is not served, and an event if its problem differs from
// its status. It uses a patch, because an update would also send the partially decoded spec. The numbers stay
// those of the last served state.
func (r *Reconciler) reportUnserved(ctx context.Context, key model.DaemonKey, object *v1alpha1.DaemonSet, problem daemon.Problem) error {
	conditions := slices.Clone(object.Status.Conditions)
	for _, condition := range daemon.Unserved(problem) {
		condition.LastTransitionTime = metav1.NewTime(r.state.Now())
		if !object.Native() { // whose conditions have no such field
			condition.ObservedGeneration = object.Generation
		}
		meta.SetStatusCondition(&conditions, condition)
	}
	meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionReconciling)
	next := *object
	next.Status.Conditions, next.Status.ObservedGeneration = conditions, object.Generation
	if equality.Semantic.DeepEqual(object.Status, next.Status) {
		return nil
	}
	r.note(key)
	patch, err := statusPatch(&next)
	if err != nil {
		return err
	}
	err = r.client.Status().Patch(ctx, daemonset.Metadata(object), patch)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // an event triggers another call
	}
	if err != nil {
		return fmt.Errorf("writing the status of DaemonSet %s/%s, which cannot be served: %w", object.Namespace, object.Name, err)
	}
	before := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionDegraded)
	after := meta.FindStatusCondition(conditions, v1alpha1.ConditionDegraded)
	if before == nil || before.Status != after.Status || before.Reason != after.Reason || before.Message != after.Message {
		r.events.Eventf(object, nil, corev1.EventTypeWarning, after.Reason, actionServe, "%s", after.Message)
	}
	return nil
}

// actionServe is the action of events about a DaemonSet as a whole.
const actionServe = "ServeDaemonSet"

// statusPatch writes the status of a DaemonSet if it is still in the state in which it was seen.
func statusPatch(set *v1alpha1.DaemonSet) (client.Patch, error) {
	var status any = set.Status
	if set.Native() {
		status = set.ToApps().Status
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": set.UID, "resourceVersion": set.ResourceVersion}, "status": status,
	})
	return client.RawPatch(types.MergePatchType, patch), err
}
