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

// EventsToRegister are the in-tree plugin's, with hints of our own for pods that ask for nothing
// on other nodes.
//
// Whether the in-tree plugin or this one refused such a pod is not known any more when an event
// comes, and need not be: what kept it away is a pod of its node, or one that reaches further.
func (p *PodAffinity) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	events, err := p.inTree.EventsToRegister(ctx)
	ours := make([]fwk.ClusterEventWithHint, len(events))
	for i, event := range events {
		switch event.Event.Resource {
		case fwk.AssignedPod:
			event.QueueingHintFn = p.afterPod(event.QueueingHintFn)
		case fwk.Node:
			event.QueueingHintFn = afterNode(event.QueueingHintFn)
		}
		ours[i] = event
	}
	return ours, err
}

// afterPod wakes a pod when another one no longer keeps it away. One that comes lets nobody in who
// has no affinity.
//
// The in-tree hint is not asked about pods of one node. It matches without the labels of namespaces,
// so that a pod that another one with a namespaceSelector kept away is not woken when that one goes.
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

// freed says whether another pod, which is gone when after is nil, keeps the pod away no more. That
// one's own terms never change, and matter when it goes.
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

// afterNode asks about the pod's node alone.
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
