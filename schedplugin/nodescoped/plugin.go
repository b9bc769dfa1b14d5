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

// inTree is what every wrapped plugin implements. Other interfaces are not passed on.
type inTree interface {
	fwk.PreFilterPlugin
	fwk.FilterPlugin
	fwk.EnqueueExtensions
}

// Plugin is an in-tree plugin with hints that skip events of other nodes.
type Plugin struct {
	inTree
	name string
}

var _ inTree = (*Plugin)(nil)

// Name of the plugin in the registry and in configurations.
func (p *Plugin) Name() string { return p.name }

// EventsToRegister returns the in-tree plugin's events. A pinned pod only gets those events of nodes and their
// objects that concern its own node.
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

// namesNode reports whether objects of a kind of event belong to one node. The pod itself (TargetPod) does not
// belong to a node yet.
func namesNode(resource fwk.EventResource) bool {
	switch resource {
	case fwk.Node, fwk.AssignedPod, fwk.CSINode, fwk.VolumeAttachment:
		return true
	default:
		return false
	}
}

// ofItsNode only calls a hint for events of the pod's own node. An event without a hint wakes the pod.
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

// TooLarge reports whether a hint would walk through a large pod, the waiting one or one of the event. The
// queue is locked in the meantime, for each waiting pod: wake the pod instead, and the queue's back-off bounds
// how often.
func TooLarge(pods ...*corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod != nil && podfacts.Large(pod) })
}

// podsOf returns the pods of an event.
func podsOf(objects ...any) (pods []*corev1.Pod) {
	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Elsewhere reports whether an event concerns another node than the one that a pod is pinned to. It is false
// for a pod that is not pinned and for an event whose node is unknown.
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

// nodeOf returns the node that the object of an event belongs to. An unbound pod counts on its nominated node:
// its deletion is an event of assigned pods too (eventhandlers.go, deletePodFromSchedulingQueue).
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
