package daemon

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// WorkloadKey identifies a daemon. The namespace is part of it: an owner reference is only valid within its
// namespace, and a pod elsewhere that carries the daemon's UID is a forgery.
type WorkloadKey struct {
	Namespace string
	UID       types.UID
}

// On returns the key of the daemon's cell on a node.
func (k WorkloadKey) On(node string) CellKey {
	return CellKey{Namespace: k.Namespace, Owner: k.UID, Node: node}
}

// Workload returns the key of the daemon that a cell belongs to.
func (k CellKey) Workload() WorkloadKey { return WorkloadKey{k.Namespace, k.Owner} }

// Workload is one state of a daemon: what rules, model and engine use of its DaemonSet, which is of any Kind. It is
// read-only.
type Workload struct {
	Kind Kind
	Key  WorkloadKey
	Name string

	Generation          int64
	Labels, Annotations map[string]string
	Terminating         bool // it is being deleted

	// Undecodable is why the spec could not be decoded; nil if it could. What follows is then zero, except the
	// status.
	Undecodable  error
	Selector     *metav1.LabelSelector
	Template     *corev1.PodTemplateSpec
	Strategy     Strategy
	MinReady     time.Duration
	HistoryLimit int // how many former templates keep their records
	// Rollout is spec.rollout, with the annotation that pauses it; nil without either, and for a kind without rollouts.
	Rollout *v1alpha1.Rollout

	// Status is the stored one, in the form of everynode.dev, which has all fields of the other kind.
	Status v1alpha1.DaemonSetStatus

	stored Object
}

// Object is an API object.
type Object interface {
	metav1.Object
	runtime.Object
}

// defaultHistoryLimit is apps/v1's revisionHistoryLimit.
const defaultHistoryLimit = 10

// newWorkload returns a Workload with what the kinds have in common.
func newWorkload(kind Kind, stored Object, template *corev1.PodTemplateSpec, historyLimit *int32) *Workload {
	w := &Workload{
		Kind:         kind,
		Key:          WorkloadKey{stored.GetNamespace(), stored.GetUID()},
		Name:         stored.GetName(),
		Generation:   stored.GetGeneration(),
		Labels:       stored.GetLabels(),
		Annotations:  stored.GetAnnotations(),
		Terminating:  stored.GetDeletionTimestamp() != nil,
		Template:     template,
		HistoryLimit: defaultHistoryLimit,
		stored:       stored,
	}
	if historyLimit != nil {
		w.HistoryLimit = int(*historyLimit)
	}
	return w
}

// Collisions returns the daemon's collisionCount, which is part of its record's name.
func (w *Workload) Collisions() int32 {
	if w.Status.CollisionCount == nil {
		return 0
	}
	return *w.Status.CollisionCount
}

// OwnerReference returns the controller reference of the daemon's pods and records.
func (w *Workload) OwnerReference() metav1.OwnerReference {
	return *metav1.NewControllerRef(w.stored, w.Kind.GroupVersionKind())
}

// Controls reports whether the daemon is an object's controller.
func (w *Workload) Controls(object metav1.Object) bool {
	return metav1.IsControlledBy(object, w.stored)
}

// Metadata returns what identifies the DaemonSet: the object that events regard, and that requests address whose
// answer must not be decoded as a whole, because the spec may be undecodable.
func (w *Workload) Metadata() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: w.Key.Namespace, Name: w.Name, UID: w.Key.UID}}
	object.SetGroupVersionKind(w.Kind.GroupVersionKind())
	return object
}

// WithStatus returns a copy of the DaemonSet, of its own kind, with another status.
func (w *Workload) WithStatus(status *v1alpha1.DaemonSetStatus) Object {
	return w.Kind.withStatus(w.stored, status)
}

// StatusPatch returns the merge patch that writes a status if the DaemonSet is still in this state. An update would
// also send the spec, of which only a part may have been decoded.
func (w *Workload) StatusPatch(status *v1alpha1.DaemonSetStatus) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": w.Key.UID, "resourceVersion": w.stored.GetResourceVersion()},
		"status":   w.Kind.status(status),
	})
}
