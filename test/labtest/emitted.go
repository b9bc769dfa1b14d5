package labtest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
)

// Emitted returns a pod as the controller emits it for admission: it names a node and has the gate, so that the
// interlock refuses it if it is not placed. Its owner is not stored.
func Emitted() *corev1.Pod {
	owner := DaemonSet("emitter")
	owner.UID = "6a8f2fd4-b7e1-4c2a-9d53-0f2c4f7b1a11"
	template := daemon.NewTemplate(daemon.FromEverynode(owner), "")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: lab.NodeName(0), UID: "1"}}
	return daemon.NewPod(template, node, template.PodName(node.Name, "", false))
}
