package labtest

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// hold is a scheduling gate of the template.
const hold = "everynode.dev/test"

// Gated makes new pods of a daemon wait for Release, so that a test sees the middle of a rollout.
func Gated(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: hold}}
}

// Held reports whether a pod waits for Release.
func Held(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) bool { return gate.Name == hold })
}

// Release releases every held pod of a daemon, and returns all of its pods.
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
