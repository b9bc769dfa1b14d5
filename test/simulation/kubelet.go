package simulation

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// progress executes the next step of the kubelet, or of the pod garbage collector, for a pod. It returns whether there is
// any, as long as nothing fails.
func (c *Cluster) progress(pod *corev1.Pod) bool {
	node, there := c.api.Get(history.Nodes, "", pod.Spec.NodeName).(*corev1.Node)
	switch {
	case pod.Spec.NodeName == "":
		return false
	case !there:
		c.note("the node of pod %s is gone: it is removed", pod.Name)
		c.api.Delete(pod, memory.Background)
		c.api.Finish(pod)
	case notReady(node):
		return false
	case pod.DeletionTimestamp != nil:
		c.api.Finish(pod)
	case finished(pod):
		return false
	case pod.Status.Phase == corev1.PodPending:
		c.setPhase(pod, corev1.PodRunning)
	case !isReady(pod):
		c.setReady(pod, corev1.ConditionTrue)
	default:
		return false
	}
	return true
}

func (c *Cluster) setPhase(pod *corev1.Pod, phase corev1.PodPhase) {
	c.api.Change(pod, func(object client.Object) { object.(*corev1.Pod).Status.Phase = phase })
}

// fail ends a pod, as a kubelet does that rejects or evicts it, or whose container ends without a restart.
func (c *Cluster) fail(pod *corev1.Pod, why string) {
	c.note("pod %s fails: %s", pod.Name, why)
	c.api.Change(pod, func(object client.Object) {
		status := &object.(*corev1.Pod).Status
		status.Phase, status.Reason = corev1.PodFailed, why
		setCondition(status, corev1.ConditionFalse, c.clock.Now())
	})
}

func (c *Cluster) setReady(pod *corev1.Pod, ready corev1.ConditionStatus) {
	c.api.Change(pod, func(object client.Object) { setCondition(&object.(*corev1.Pod).Status, ready, c.clock.Now()) })
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

func notReady(node *corev1.Node) bool {
	return isDown(node) || slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeNotReady })
}

func setCondition(status *corev1.PodStatus, ready corev1.ConditionStatus, now time.Time) {
	conditions := slices.DeleteFunc(slices.Clone(status.Conditions), func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady
	})
	status.Conditions = append(conditions, corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.NewTime(now)})
}
