package checker

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// fitsAmong reports whether a node has room for a pod beside others: resources, the number of pods, and host ports.
func fitsAmong(pod *corev1.Pod, others []*corev1.Pod, node *corev1.Node) bool {
	allocatable := node.Status.Allocatable
	if pods, limited := allocatable[corev1.ResourcePods]; limited && int64(len(others)+1) > pods.Value() {
		return false
	}
	used := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	maps.DeleteFunc(used, func(_ corev1.ResourceName, quantity resource.Quantity) bool { return quantity.IsZero() })
	for _, other := range others {
		for name, quantity := range resourcehelper.PodRequests(other, resourcehelper.PodResourcesOptions{}) {
			if sum, asked := used[name]; asked {
				sum.Add(quantity)
				used[name] = sum
			}
		}
	}
	for name, sum := range used {
		if has := allocatable[name]; sum.Cmp(has) > 0 {
			return false
		}
	}
	return !portsTaken(pod, others)
}

type hostPort struct {
	protocol corev1.Protocol
	port     int32
}

func hostPorts(pod *corev1.Pod) map[hostPort]bool {
	ports := map[hostPort]bool{}
	for i := range pod.Spec.Containers {
		for _, port := range pod.Spec.Containers[i].Ports {
			if port.HostPort != 0 {
				ports[hostPort{port.Protocol, port.HostPort}] = true
			}
		}
	}
	return ports
}

func portsTaken(pod *corev1.Pod, others []*corev1.Pod) bool {
	wanted := hostPorts(pod)
	if len(wanted) == 0 {
		return false
	}
	for _, other := range others {
		for port := range hostPorts(other) {
			if wanted[port] {
				return true
			}
		}
	}
	return false
}

// needsMore reports whether a pod needs something of a node that is not counted here: volumes, devices, other pods.
func needsMore(pod *corev1.Pod) bool {
	if affinity := pod.Spec.Affinity; affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil) {
		return true
	}
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			return true
		}
	}
	return len(pod.Spec.ResourceClaims) > 0
}

// noRoom reports whether a pod that waits cannot fit its node, even if every pod of lower priority left.
func (s *state) noRoom(p *pod, node *corev1.Node) bool {
	if p.bound() || !p.live() || len(node.Status.Allocatable) == 0 {
		return false
	}
	never := p.object.Spec.PreemptionPolicy != nil && *p.object.Spec.PreemptionPolicy == corev1.PreemptNever
	others := s.podsOn(node.Name, func(other *pod) bool { return other != p && (never || priority(other) >= priority(p)) })
	return needsMore(p.object) || !fitsAmong(p.object, others, node)
}
