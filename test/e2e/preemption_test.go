package e2e

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The priorities of tests.
const (
	low  = "e2e-low"
	high = "e2e-high"
)

// killed is the exit status of a process that was killed by SIGKILL.
const killed = 137

// fillers is how many pods fill a node.
const fillers = 3

// preemption creates a daemon of high priority for a node that is full of other pods. Their processes ignore SIGTERM, so the kubelet
// kills them; no more pods than necessary are evicted. With contenders, successors of the evicted pods try to
// get the room back, and do not get it: that requires a single scheduler for both.
func preemption(kind schema.GroupVersionKind, contenders bool) func(*stage) {
	return func(s *stage) {
		node := s.workers[0]
		s.cleared()
		s.Make(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: low}, Value: -10})
		s.Make(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: high}, Value: 1000})
		free := s.free(node)
		film := s.film("filler")
		s.fill(node, free/fillers, contenders)

		set := s.MakeWorkload(kind, serving("preempting", onlyOn(node), requesting(corev1.ResourceMemory, bytes(free/2)), func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.PriorityClassName = high
		}))
		s.WaitForPods(set, node)

		evicted, went := 0, 0
		for _, pod := range last(film.cut()) {
			if pod.DeletionTimestamp == nil {
				continue
			}
			went++
			if disrupted(pod) {
				evicted++
			}
			if code := exitCode(pod); code != killed {
				s.T.Errorf("the process of pod %s exited with status %d, want %d: it should have been killed", pod.Name, code, killed)
			}
		}
		// Half of the room is more than one third, and at most two thirds.
		if evicted != 2 || went != 2 {
			s.T.Errorf("%d pods were deleted, %d of them by preemption; want 2", went, evicted)
		}
	}
}

// fill fills a node with stubborn pods of low priority, and waits until they run.
func (s *stage) fill(node string, room int64, contenders bool) {
	s.T.Helper()
	filler := barePod("filler", func(pod *corev1.Pod) {
		pod.Labels = map[string]string{"app": "filler"}
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
		pod.Spec.PriorityClassName = low
		pod.Spec.Containers[0].Args = []string{"hold", "--stubborn", "--mebibytes=64"}
		request(&pod.Spec, corev1.ResourceMemory, bytes(room))
	})
	if contenders {
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: filler.Namespace, Name: "filler"}, Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(fillers)), Selector: &metav1.LabelSelector{MatchLabels: filler.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: filler.Labels}, Spec: filler.Spec},
		}}
		s.Make(deployment)
		s.kubectl("wait", "--for=condition=Available", "deployment/filler", "--timeout="+patience.String())
		return
	}
	var all []*corev1.Pod
	for i := range fillers {
		pod := filler.DeepCopy()
		pod.Name = fmt.Sprintf("filler-%d", i)
		s.Make(pod)
		all = append(all, pod)
	}
	for _, pod := range all {
		s.waitReady(pod)
	}
}

// exitCode returns the exit status of a pod's process; -1 if it has not exited.
func exitCode(pod *corev1.Pod) int32 {
	for _, container := range pod.Status.ContainerStatuses {
		if ended := container.State.Terminated; ended != nil {
			return ended.ExitCode
		}
	}
	return -1
}

// disrupted reports whether a pod was preempted.
func disrupted(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Reason == corev1.PodReasonPreemptionByScheduler {
			return true
		}
	}
	return false
}

func bytes(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.BinarySI) }
