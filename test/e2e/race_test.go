package e2e

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/labtest"
)

// outOfMemory is the kubelet's reason when it has no room for a pod that is bound to its node.
const outOfMemory = "OutOfmemory"

// race has two schedulers give the last memory of a node to two pods. The kubelet takes the older one, which is the
// other scheduler's, and rejects the daemon's. Twice: the first successor is made at once, the second waits. When the
// others have gone the daemon runs.
//
// That the two bindings come at the same time is arranged: the kubelet is away while they are made, and
// finds both when it comes back.
func race(s *stage) {
	node := s.workers[0]
	s.cleared()
	room := bytes(s.free(node) * 3 / 5)
	rivals := []*corev1.Pod{s.rival("rival-0", node, room), s.rival("rival-1", node, room)}
	s.nextSecond(rivals[1].CreationTimestamp)
	set := serving("racing", onlyOn(node), requesting(corev1.ResourceMemory, room))
	film := s.film(set.Name)

	s.stopKubelet(node)
	s.Make(set)
	first := s.waitBound(set, "")
	s.bind(rivals[0], node)
	s.startKubelet(node)
	s.WaitForEvent(set, "FailedDaemonPod", "Pod "+first.Name)
	s.waitReady(rivals[0])

	s.stopKubelet(node)
	s.Must(s.Delete(s.T.Context(), rivals[0], client.GracePeriodSeconds(0))) // its kubelet cannot confirm that it ended
	second := s.waitBound(set, first.UID)
	s.bind(rivals[1], node)
	s.startKubelet(node)
	s.waitReady(rivals[1])
	s.Must(s.Delete(s.T.Context(), rivals[1]))
	runs := s.WaitForPods(set, node)[node]

	rejected := map[string]bool{}
	events := film.cut()
	pods := last(events)
	for _, event := range events {
		if pod := event.Object.(*corev1.Pod); pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == outOfMemory {
			rejected[string(pod.UID)] = true
		}
	}
	if !rejected[string(first.UID)] || !rejected[string(second.UID)] {
		s.T.Errorf("the kubelet rejected pods %v, want %s and %s", rejected, first.UID, second.UID)
	}
	if rejected[string(runs.UID)] || len(pods) != 3 {
		s.T.Errorf("%d pods were made, and %d of them rejected; want 3 and 2", len(pods), len(rejected))
	}
}

// rival is a pod for a scheduler that knows nothing of others.
func (s *stage) rival(name, node string, room resource.Quantity) *corev1.Pod {
	s.T.Helper()
	pod := barePod(name, func(pod *corev1.Pod) {
		pod.Spec.SchedulerName = "rival"
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
		request(&pod.Spec, corev1.ResourceMemory, room)
	})
	s.Make(pod)
	return pod
}

// bind does what that scheduler does.
func (s *stage) bind(pod *corev1.Pod, node string) {
	s.T.Helper()
	s.Must(s.API.CoreV1().Pods(pod.Namespace).Bind(s.T.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{}))
}

// nextSecond waits until what is made is younger than a moment, in the API server's seconds: the kubelet goes
// by them.
func (s *stage) nextSecond(moment metav1.Time) {
	s.T.Helper()
	s.Eventually("another second has begun", func(ctx context.Context) (string, error) {
		probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, GenerateName: "time-"}}
		if err := s.Create(ctx, probe); err != nil {
			return "", err
		}
		s.T.Cleanup(func() { _ = s.Delete(context.Background(), probe) })
		if !moment.Before(&probe.CreationTimestamp) {
			return "it is still " + moment.Format(time.TimeOnly), nil
		}
		return "", nil
	})
}

func (s *stage) stopKubelet(node string) {
	s.T.Helper()
	s.onNode(node, "systemctl", "stop", "kubelet")
	s.T.Cleanup(func() { _, _ = s.kind.Exec(context.Background(), node, "systemctl", "start", "kubelet") })
}

func (s *stage) startKubelet(node string) {
	s.T.Helper()
	s.onNode(node, "systemctl", "start", "kubelet")
}

// waitBound waits until a daemon has a pod that is bound and another one than a former, and returns it.
func (s *stage) waitBound(set *v1alpha1.DaemonSet, former types.UID) corev1.Pod {
	s.T.Helper()
	var found corev1.Pod
	s.Eventually(set.Name+" has a pod that is bound", func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, set)
		if err != nil {
			return "", err
		}
		for _, pod := range pods {
			if pod.UID != former && pod.Spec.NodeName != "" {
				found = pod
				return "", nil
			}
		}
		return fmt.Sprintf("none of %d pods", len(pods)), nil
	})
	return found
}
