package labtest

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// hold is a scheduling gate of a template's own.
const hold = "everynode.dev/test"

// Gated has new pods of a daemon wait until Release lets them go, so that a test sees the middle of
// a rollout.
func Gated(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: hold}}
}

// Held says whether a pod waits for Release.
func Held(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) bool { return gate.Name == hold })
}

// Release lets every pod of a daemon go on that is held, and gives all that there are.
func (c *Cluster) Release(ctx context.Context, set metav1.Object) ([]corev1.Pod, error) {
	pods, err := c.PodsOf(ctx, set)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		if !Held(&pods[i]) {
			continue
		}
		seen := pods[i].DeepCopy()
		pods[i].Spec.SchedulingGates = slices.DeleteFunc(pods[i].Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) bool { return gate.Name == hold })
		if err := c.Patch(ctx, &pods[i], client.MergeFrom(seen)); client.IgnoreNotFound(err) != nil {
			return nil, err
		}
	}
	return pods, nil
}
