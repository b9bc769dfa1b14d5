package nodescoped

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/everynode/everynode/schedplugin/podfacts"
)

// inTree is what every plugin that is wrapped here has. What else one has is not passed on.
type inTree interface {
	fwk.PreFilterPlugin
	fwk.FilterPlugin
	fwk.EnqueueExtensions
}

// Plugin is an in-tree plugin with hints that skip what happens to other nodes.
type Plugin struct {
	inTree
	name string
}

var _ inTree = (*Plugin)(nil)

// Name of the plugin in the registry and in configurations.
func (p *Plugin) Name() string { return p.name }

// EventsToRegister are the in-tree plugin's. Of those that name a node, a pod that is pinned
// gets to see its node's alone.
func (p *Plugin) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	events, err := p.inTree.EventsToRegister(ctx)
	scoped := make([]fwk.ClusterEventWithHint, len(events))
	for i, event := range events {
		if namesNode(event.Event.Resource) {
			event.QueueingHintFn = ofItsNode(event.QueueingHintFn)
		}
		scoped[i] = event
	}
	return scoped, err
}

// namesNode says whether the objects of a kind of event belong to one node. The pod itself
// (TargetPod) is of no node yet.
func namesNode(resource fwk.EventResource) bool {
	switch resource {
	case fwk.Node, fwk.AssignedPod, fwk.CSINode, fwk.VolumeAttachment:
		return true
	}
	return false
}

// ofItsNode asks a hint about events of the pod's node alone. An event without a hint wakes.
func ofItsNode(ask fwk.QueueingHintFn) fwk.QueueingHintFn {
	return func(logger klog.Logger, pod *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
		if Elsewhere(pod, oldObj, newObj) {
			return fwk.QueueSkip, nil
		}
		if ask == nil || TooLarge(append(podsOf(oldObj, newObj), pod)...) {
			return fwk.Queue, nil
		}
		return ask(logger, pod, oldObj, newObj)
	}
}

// TooLarge says whether a hint would walk through a large pod, the one that waits or one of the event.
// The queue is locked meanwhile, for each pod that waits: the one that waits is woken instead, and the
// queue's back-off bounds how often.
func TooLarge(pods ...*corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod != nil && podfacts.Large(pod) })
}

// podsOf are the pods of an event.
func podsOf(objects ...any) (pods []*corev1.Pod) {
	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Elsewhere says whether an event is of another node than the one that a pod is pinned to. It is
// false for a pod that is not pinned and for an event that does not tell its node.
func Elsewhere(pod *corev1.Pod, oldObj, newObj any) bool {
	node := nodeOf(newObj)
	if node == "" {
		node = nodeOf(oldObj)
	}
	if node == "" {
		return false
	}
	target, pinned := podfacts.Target(pod)
	return pinned && target != node
}

// nodeOf is the node that the object of an event belongs to. A pod that is not bound counts where
// it is nominated: its deletion is an event of assigned pods too (eventhandlers.go,
// deletePodFromSchedulingQueue).
func nodeOf(obj any) string {
	switch obj := obj.(type) {
	case *corev1.Node:
		return obj.Name
	case *corev1.Pod:
		if obj.Spec.NodeName != "" {
			return obj.Spec.NodeName
		}
		return obj.Status.NominatedNodeName
	case *storagev1.CSINode:
		return obj.Name
	case *storagev1.VolumeAttachment:
		return obj.Spec.NodeName
	}
	return ""
}
