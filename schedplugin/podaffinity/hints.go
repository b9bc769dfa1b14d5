package podaffinity

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/everynode/everynode/schedplugin/nodescoped"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// EventsToRegister returns the in-tree plugin's events, with our own hints for pods whose terms do not reach
// other nodes.
//
// When an event arrives it is unknown which of the two plugins refused such a pod, and it does not matter: a
// pod on its node blocked it, or one that reaches further.
func (p *PodAffinity) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	events, err := p.inTree.EventsToRegister(ctx)
	ours := make([]fwk.ClusterEventWithHint, len(events))
	for i, event := range events {
		switch event.Event.Resource {
		case fwk.AssignedPod:
			event.QueueingHintFn = p.afterPod(event.QueueingHintFn)
		case fwk.Node:
			event.QueueingHintFn = afterNode(event.QueueingHintFn)
		default: // the in-tree hint
		}
		ours[i] = event
	}
	return ours, err
}

// afterPod wakes a pod when another one no longer blocks it. A new pod cannot admit a pod without affinity.
//
// The in-tree hint is not called for pods of one node. It matches without the labels of namespaces, so that it
// would not wake a pod when another one with a namespaceSelector, which blocked it, is deleted.
func (p *PodAffinity) afterPod(ask fwk.QueueingHintFn) fwk.QueueingHintFn {
	return func(logger klog.Logger, pod *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
		before, after, err := util.As[*corev1.Pod](oldObj, newObj)
		if err != nil {
			return fwk.Queue, err
		}
		ofOneNode := ofOneNode(pod)
		if ofOneNode && (before == nil || (nodescoped.Elsewhere(pod, oldObj, newObj) && !podfacts.Reaches(before))) {
			return fwk.QueueSkip, nil
		}
		if nodescoped.TooLarge(pod, before, after) {
			return fwk.Queue, nil
		}
		if !ofOneNode {
			return ask(logger, pod, oldObj, newObj)
		}
		keeper, err := newKeeper(logger, pod, p.namespaces)
		if err != nil {
			return fwk.Queue, err
		}
		wakes, err := keeper.freed(before, after)
		if err != nil {
			return fwk.Queue, err
		}
		return hint(wakes), nil
	}
}

// freed reports whether another pod, which is gone when after is nil, does not block the pod any more. Its own
// terms never change, and matter when it is deleted.
func (k *keeper) freed(before, after *corev1.Pod) (bool, error) {
	if k.avoids(before) && (after == nil || !k.avoids(after)) {
		return true, nil
	}
	if after != nil {
		return false, nil
	}
	terms, err := fwk.GetAffinityTerms(before, fwk.GetPodAntiAffinityTerms(before.Spec.Affinity))
	return slices.ContainsFunc(terms, k.repels), err
}

// afterNode only calls the hint for the pod's own node.
func afterNode(ask fwk.QueueingHintFn) fwk.QueueingHintFn {
	return func(logger klog.Logger, pod *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
		if ofOneNode(pod) && nodescoped.Elsewhere(pod, oldObj, newObj) {
			return fwk.QueueSkip, nil
		}
		if nodescoped.TooLarge(pod) {
			return fwk.Queue, nil
		}
		return ask(logger, pod, oldObj, newObj)
	}
}

func hint(wakes bool) fwk.QueueingHint {
	if wakes {
		return fwk.Queue
	}
	return fwk.QueueSkip
}
