package uniqueness

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// shared is the plugin in a profile of all pods: it limits daemons to one pod per node and ignores all other
// pods.
type shared struct{ *Uniqueness }

var (
	_ fwk.PreFilterPlugin   = (*shared)(nil)
	_ fwk.FilterPlugin      = (*shared)(nil)
	_ fwk.ReservePlugin     = (*shared)(nil)
	_ fwk.EnqueueExtensions = (*shared)(nil)
	_ fwk.SignPlugin        = (*shared)(nil)
)

// PreFilter skips the plugin for pods that are not a daemon's for one node.
func (s *shared) PreFilter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if _, refusal := served(pod); refusal != "" {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	return s.Uniqueness.PreFilter(ctx, state, pod, nodes)
}

// Reserve ignores pods that are not a daemon's for one node.
func (s *shared) Reserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	if _, refusal := served(pod); refusal != "" {
		return nil
	}
	return s.Uniqueness.Reserve(ctx, state, pod, node)
}

// SignPod keeps batching (KEP-5598) enabled for the profile; one plugin without it would disable it for every
// pod. Pods that the plugin ignores are alike for it. A daemon's pods are never alike, because their nodes
// differ.
func (*shared) SignPod(_ context.Context, pod *corev1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if _, refusal := served(pod); refusal != "" {
		return nil, nil
	}
	return nil, fwk.NewStatus(fwk.Unschedulable, "each of a daemon's pods has a different node")
}
