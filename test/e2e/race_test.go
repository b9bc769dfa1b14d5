package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/labtest"
)

// outOfMemory is the kubelet's reason when it has no memory for a pod that is bound to its node.
const outOfMemory = "OutOfmemory"

// race lets two schedulers give the last memory of a node to two pods at once. The kubelet admits the older one, which is the other
// scheduler's, and rejects the daemon's. The same happens to its successors, which the other scheduler binds too, as if it did not know its own pod: the
// controller creates each after twice the time of the one before. Once the other pod is deleted, the daemon runs.
//
// To make the first two bindings concurrent, the kubelet is stopped in the meantime, and
// finds both after its restart.
func race(s *stage) {
	node := s.workers[0]
	s.cleared()
	room := bytes(s.free(node) * 3 / 5)
	rival := s.rival("rival", node, room)
	s.nextSecond(rival.CreationTimestamp)
	set := serving("racing", onlyOn(node), requesting(corev1.ResourceMemory, room))
	film := s.film(set.Name)

	s.stopKubelet(node)
	s.Make(set)
	made := []corev1.Pod{s.successor(set, nil, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" })}
	s.bind(rival, node)
	s.startKubelet(node)
	s.waitReady(rival)
	s.WaitForEvent(set, "FailedDaemonPod", "Pod "+made[0].Name)
	for range 3 {
		next := s.successor(set, made, func(pod *corev1.Pod) bool { return pod.Spec.NodeName == "" })
		s.bind(&next, node)
		made = append(made, next)
	}
	s.WaitForEvent(set, "FailedDaemonPod", "Pod "+made[3].Name)
	s.Must(s.Delete(s.T.Context(), rival))
	runs := s.WaitForPods(set, node)[node]

	rejected := map[types.UID]bool{}
	events := film.cut()
	for _, event := range events {
		if pod := event.Object.(*corev1.Pod); pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == outOfMemory {
			rejected[pod.UID] = true
		}
	}
	for i := range made {
		if !rejected[made[i].UID] {
			s.T.Errorf("pod %s was not rejected with the reason OutOfmemory", made[i].Name)
		}
	}
	if pods := last(events); len(pods) != len(made)+1 || rejected[runs.UID] {
		s.T.Errorf("%d pods were created, and %d of them rejected; want %d and %d", len(pods), len(rejected), len(made)+1, len(made))
	}
	// The first successor is created at once, and the others 1, 2 and 4 s after the one before. The API server's timestamps have whole seconds.
	made = append(made, runs)
	for i, wait := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
		if waited := made[i+1].CreationTimestamp.Sub(made[i].CreationTimestamp.Time); waited < wait-time.Second {
			s.T.Errorf("pod %s was created %s after %s, want %s or more", made[i+1].Name, waited, made[i].Name, wait)
		}
	}
}

// rival returns a pod for a scheduler that does not know of others.
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

// bind binds a pod as that scheduler does.
func (s *stage) bind(pod *corev1.Pod, node string) {
	s.T.Helper()
	s.Must(s.API.CoreV1().Pods(pod.Namespace).Bind(s.T.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{}))
}

// nextSecond waits until a new object is younger than the given time in the API server's whole seconds, by which the kubelet
// orders pods.
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

// successor waits until a daemon has a pod that is not one of the former ones and satisfies a condition.
func (s *stage) successor(set *v1alpha1.DaemonSet, former []corev1.Pod, holds func(*corev1.Pod) bool) corev1.Pod {
	s.T.Helper()
	var found corev1.Pod
	s.Eventually(set.Name+" has another pod", func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, set)
		if err != nil {
			return "", err
		}
		for i := range pods {
			known := slices.ContainsFunc(former, func(pod corev1.Pod) bool { return pod.UID == pods[i].UID })
			if !known && holds(&pods[i]) {
				found = pods[i]
				return "", nil
			}
		}
		return fmt.Sprintf("none of %d pods", len(pods)), nil
	})
	return found
}
