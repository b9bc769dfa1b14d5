package notify

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
)

// Regarding returns what an event is about that reports why nothing is created for a DaemonSet. A namespace that is being
// deleted accepts no events: then the event is about the namespace, and stored in another one.
func Regarding(owner *daemon.Workload, err error) (regarding, related runtime.Object) {
	if answers.Of(answers.Create, err).AboutNamespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: owner.Key.Namespace}}, owner.Metadata()
	}
	return owner.Metadata(), nil
}
