package notify

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
)

// Regarding returns what an event is about that reports why nothing is created for a DaemonSet. A namespace that is being
// deleted accepts no events: then the event is about the namespace, and stored in another one.
func Regarding(owner *v1alpha1.DaemonSet, err error) (regarding, related runtime.Object) {
	if answers.Of(answers.Create, err).AboutNamespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: owner.Namespace}}, owner
	}
	return owner, nil
}
