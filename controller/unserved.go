package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// A DaemonSet that cannot be served is one whose spec cannot be decoded, or from which no pods can be
// made. Nothing is done for it: the pods that it has stay, also where an earlier spec would have them
// replaced, for to go on with a spec that is no longer there would surprise more than to stop. After a
// restart nothing else is known of it either. Its status says why, until it is corrected or deleted.

// terms are what a daemon is served by.
type terms struct {
	selector labels.Selector
	id       daemon.TemplateID
	rules    *daemon.Rules
}

// servable takes from a daemon what it is served by; the problem is why it cannot be.
func servable(object *v1alpha1.DaemonSet, wrong error) (terms, *daemon.Problem) {
	if wrong != nil {
		return terms{}, daemon.Undecodable(wrong)
	}
	if err := cmp.Or(daemon.CheckTemplate(&object.Spec.Template), daemon.CheckQuantities(&object.Spec.Template), daemon.CheckSelector(object.Spec.Selector)); err != nil {
		return terms{}, &daemon.Problem{Reason: daemon.ReasonTooLarge, Message: err.Error()}
	}
	selector, problem := daemon.Selector(object)
	if problem != nil {
		return terms{}, problem
	}
	id, err := daemon.Identify(object)
	if err != nil {
		return terms{}, &daemon.Problem{Reason: daemon.ReasonInvalidTemplate, Message: err.Error()}
	}
	return terms{selector, id, daemon.NewRules(&object.Spec.Template)}, nil
}

// unserve has nothing done for a daemon any more. The error is the problem, when that is news.
func (u update) unserve(key DaemonKey, object *v1alpha1.DaemonSet, problem *daemon.Problem) error {
	known := u.workload(key)
	news := known.unserved == nil || *known.unserved != *problem
	known.name, known.object, known.unserved, known.revisionResolved = object.Name, object, problem, false
	u.report(key)
	if !news {
		return nil
	}
	return errors.New(problem.Message)
}

// unservedDaemon is a daemon that cannot be served, and why; the object is nil for one that can be, and for
// one that is being deleted.
func (u update) unservedDaemon(key DaemonKey) (*v1alpha1.DaemonSet, daemon.Problem) {
	known := u.daemons[key]
	if known == nil || known.object == nil || known.unserved == nil || known.object.DeletionTimestamp != nil {
		return nil, daemon.Problem{}
	}
	return known.object, *known.unserved
}

// reportUnserved writes the conditions of a daemon that is not served, and an event when its problem is
// another one than its status says. It is written by a patch: an update would carry what could be decoded
// of the spec. The numbers stay those of the last state that was served.
func (r *reporter) reportUnserved(ctx context.Context, key DaemonKey, object *v1alpha1.DaemonSet, problem daemon.Problem) error {
	conditions := slices.Clone(object.Status.Conditions)
	for _, condition := range daemon.Unserved(problem) {
		condition.LastTransitionTime = metav1.NewTime(r.world.now())
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
	err = r.client.Status().Patch(ctx, metadataOf(object), patch)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // an event brings it here again
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

// statusPatch writes the status of a DaemonSet in the state in which it was seen.
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

// metadataOf is an object by which a DaemonSet is patched whose answer must not be decoded whole: it may
// be one that nobody can decode by then.
func metadataOf(set *v1alpha1.DaemonSet) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: set.Name}}
	object.SetGroupVersionKind(set.GVK())
	return object
}
