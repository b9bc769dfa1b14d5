package daemon

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Kind is an API kind of DaemonSets. Rules, model and engine are the same for all kinds, and ask the kind for what
// differs, by meaning. Everynode and Apps are the only implementations.
type Kind interface {
	// GroupVersionKind is that of the kind's objects, for owner references, events and requests.
	GroupVersionKind() schema.GroupVersionKind

	// RuntimeClassJoins reports whether the scheduling of a template's RuntimeClass joins the rules for starting
	// a pod (Rules.WithScheduling).
	RuntimeClassJoins() bool
	// BlocksNodes reports whether a node is blocked while the stored pod that waits for it can never run there.
	// Otherwise the pod waits, and its node counts like any other.
	BlocksNodes() bool
	// ReportsWaiting reports whether conditions name waiting pods: they delay Complete, and are a problem once
	// they have waited for too long (Health).
	ReportsWaiting() bool

	// RollsOut reports whether the kind has spec.rollout, and its records what is stable. Records of another kind are left as they
	// are.
	RollsOut() bool

	// observesGeneration reports whether the kind's conditions have the field observedGeneration.
	observesGeneration() bool
	// identify returns the identity of the template of the daemon with a name and a collisionCount.
	identify(name string, template *corev1.PodTemplateSpec, collisions *int32) (TemplateID, error)
	// content returns the TemplateID.Content of the template in the data of a ControllerRevision, empty if it
	// contains none. The data may come from any writer.
	content(data []byte) string
	// templateGeneration returns the value of the label pod-template-generation of a template's pods, given the
	// annotations of the daemon or of the template's record; empty if they do not have the label.
	templateGeneration(annotations map[string]string) string
	// recordAnnotations returns the annotations of the record of a template with a templateGeneration: those of the
	// daemon that describe it. They are nil for a former template.
	recordAnnotations(generation string, annotations map[string]string) map[string]string
	// withStatus returns a copy of an object of the kind with another status.
	withStatus(stored Object, status *v1alpha1.DaemonSetStatus) Object
	// status returns a status in the kind's form.
	status(*v1alpha1.DaemonSetStatus) any
}

// The kinds of DaemonSets.
var (
	Everynode Kind = everynode{} // everynode.dev
	Apps      Kind = apps{}      // apps/v1, served in place of kube-controller-manager's controller
)

var kinds = [...]Kind{Everynode, Apps}

// KindOf returns the kind of the daemon that an owner reference names, nil if it names none. The reference may have
// any version of the kind's group: objects keep the one that they were created with.
func KindOf(owner *metav1.OwnerReference) Kind {
	group := groupOf(owner)
	for _, kind := range kinds {
		if gvk := kind.GroupVersionKind(); owner.Kind == gvk.Kind && group == gvk.Group {
			return kind
		}
	}
	return nil
}
