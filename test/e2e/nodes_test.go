package e2e

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
)

// nodeRestarts restarts a node: its daemon's pod remains the same object and runs again, and so does
// Everynode itself.
func nodeRestarts(s *stage) {
	set := serving("restarted")
	s.Make(set)
	before := s.WaitForPods(set, s.workers...)
	away := s.workers[1]
	s.Must(s.kind.Restart(s.T.Context(), away))
	s.Eventually("the pod on "+away+" was restarted", func(ctx context.Context) (string, error) {
		was := before[away]
		var pod corev1.Pod
		if err := s.Get(ctx, client.ObjectKeyFromObject(&was), &pod); err != nil {
			return "", err
		}
		if pod.UID != was.UID {
			s.T.Fatalf("pod %s was replaced", was.Name)
		}
		if restarts(&pod) == restarts(&was) || !lab.PodReady(&pod) {
			return fmt.Sprintf("%s, %+v", pod.Status.Phase, pod.Status.ContainerStatuses), nil
		}
		return "", nil
	})
	after := s.WaitForPods(set, s.workers...)
	for node, pod := range after {
		was := before[node]
		if pod.UID != was.UID || (node != away && restarts(&pod) != restarts(&was)) {
			s.T.Errorf("pod %s on %s was disturbed: %s, %d restarts; before %s, %d", pod.Name, node, pod.UID, restarts(&pod), was.UID, restarts(&was))
		}
	}
	if answer := s.ask(after[away].Name); !strings.Contains(answer, "client=") {
		s.T.Errorf("the pod on %s answers %q", away, answer)
	}
	s.everynodeWorks()
}

func restarts(pod *corev1.Pod) int32 {
	var sum int32
	for _, container := range pod.Status.ContainerStatuses {
		sum += container.RestartCount
	}
	return sum
}

// nodeLeaves removes a node from the cluster, and adds another one of the same name: the old node's pod is deleted
// with it, and the new node gets its own, although the name is the same.
func nodeLeaves(s *stage) {
	set := serving("following")
	s.Make(set)
	before := s.WaitForPods(set, s.workers...)
	stays, leaves := s.workers[0], s.workers[1]
	s.onNode(leaves, "systemctl", "stop", "kubelet")
	s.kubectl("delete", "node", leaves)
	s.WaitForPods(set, stays)
	// The new node has no network yet. Otherwise its first pods could get addresses of the old node.
	s.onNode(leaves, "sh", "-c", "rm /etc/cni/net.d/*")
	s.onNode(leaves, "systemctl", "start", "kubelet")
	after := s.WaitForPods(set, s.workers...)
	var node corev1.Node
	s.Must(s.Get(s.T.Context(), client.ObjectKey{Name: leaves}, &node))
	came, went := after[leaves], before[leaves]
	if came.UID == went.UID {
		s.T.Errorf("the pod on %s is the old one", leaves)
	}
	if got := came.Annotations[v1alpha1.NodeUIDAnnotation]; got != string(node.UID) {
		s.T.Errorf("the pod on %s was created for node %s, want %s, the new one", leaves, got, node.UID)
	}
	if stayed := after[stays]; stayed.UID != before[stays].UID || restarts(&stayed) > 0 {
		s.T.Errorf("the pod on %s was disturbed", stays)
	}
	s.Must(s.kind.AwaitNetwork(s.T.Context()))
	s.everynodeWorks()
	if answer := s.ask(came.Name); !strings.Contains(answer, "client=") {
		s.T.Errorf("the pod on %s answers %q", leaves, answer)
	}
}

// everynodeWorks waits until all replicas of Everynode's components are available.
func (s *stage) everynodeWorks() {
	s.T.Helper()
	s.kubectl("--namespace=everynode-system", "wait", "--for=condition=Available", "deployments", "--all", "--timeout="+patience.String())
}
