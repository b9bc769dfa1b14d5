package corpus

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// nodeSpec describes a node to test daemons on.
type nodeSpec struct {
	labels map[string]string
	taints []corev1.Taint
}

// apply turns a lab's node into such a node, with room for everything, so that placement depends only on the
// rules.
func (s nodeSpec) apply(node *corev1.Node, resources map[corev1.ResourceName]bool) {
	for key, value := range s.labels {
		node.Labels[key] = value
	}
	node.Spec.Taints = s.taints
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("1000"),
		corev1.ResourceMemory:           resource.MustParse("4Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("4Ti"),
		corev1.ResourcePods:             resource.MustParse("1000"),
	}
	for name := range resources {
		switch _, basic := room[name]; {
		case basic:
		case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix): // bytes, in whole pages
			room[name] = resource.MustParse("1Ti")
		default:
			room[name] = resource.MustParse("1000")
		}
	}
	node.Status.Capacity, node.Status.Allocatable = room, room.DeepCopy()
}

// fixedNodes are nodes as in real clusters.
var fixedNodes = []nodeSpec{
	{},
	{},
	{labels: map[string]string{"kubernetes.io/os": "windows"}},
	{labels: map[string]string{"kubernetes.io/arch": "arm64"}},
	{labels: map[string]string{"node-role.kubernetes.io/control-plane": ""}, taints: []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}},
	{labels: map[string]string{"node-role.kubernetes.io/master": ""}, taints: []corev1.Taint{{Key: "node-role.kubernetes.io/master", Effect: corev1.TaintEffectNoSchedule}}},
	{taints: []corev1.Taint{{Key: "dedicated", Value: "team-a", Effect: corev1.TaintEffectNoSchedule}}},
	{taints: []corev1.Taint{{Key: "evict", Effect: corev1.TaintEffectNoExecute}}},
	{taints: []corev1.Taint{{Key: "example.com/brief", Effect: corev1.TaintEffectNoExecute}}},
	{taints: []corev1.Taint{{Key: "maybe", Effect: corev1.TaintEffectPreferNoSchedule}}},
	{labels: map[string]string{"eks.amazonaws.com/compute-type": "fargate"}},
	{labels: map[string]string{"nvidia.com/gpu.present": "true"}, taints: []corev1.Taint{{Key: "nvidia.com/gpu", Value: "present", Effect: corev1.TaintEffectNoSchedule}}},
}

// derivedNodes are, for each daemon that requires labels or tolerates taints, a node that satisfies it, and one
// that also has a tolerated taint. So there is a node for every daemon.
func derivedNodes(sets []*appsv1.DaemonSet) []nodeSpec {
	var specs []nodeSpec
	seen := map[string]bool{}
	add := func(spec nodeSpec) {
		if key := fmt.Sprint(spec); !seen[key] { // maps print sorted
			seen[key] = true
			specs = append(specs, spec)
		}
	}
	for _, set := range sets {
		pod := &set.Spec.Template.Spec
		wanted := wantedLabels(pod)
		if len(wanted) > 0 {
			add(nodeSpec{labels: wanted})
		}
		for _, toleration := range pod.Tolerations {
			if toleration.Key == "" || toleration.Effect == "" {
				continue
			}
			add(nodeSpec{labels: wanted, taints: []corev1.Taint{{Key: toleration.Key, Value: toleration.Value, Effect: toleration.Effect}}})
		}
	}
	return specs
}

// wantedLabels returns labels that satisfy the first of a pod's required terms.
func wantedLabels(pod *corev1.PodSpec) map[string]string {
	wanted := map[string]string{}
	for key, value := range pod.NodeSelector {
		wanted[key] = value
	}
	if pod.Affinity == nil || pod.Affinity.NodeAffinity == nil || pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return wanted
	}
	terms := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	for _, requirement := range slices.Concat(terms[0].MatchExpressions) {
		switch requirement.Operator {
		case corev1.NodeSelectorOpIn:
			wanted[requirement.Key] = requirement.Values[0]
		case corev1.NodeSelectorOpExists:
			wanted[requirement.Key] = "true"
		case corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpDoesNotExist: // satisfied without the label
		default:
			panic("no label is known for the operator " + requirement.Operator)
		}
	}
	return wanted
}

// resourcesOf returns the names of all resources that containers request.
func resourcesOf(sets []*appsv1.DaemonSet) map[corev1.ResourceName]bool {
	names := map[corev1.ResourceName]bool{}
	for _, set := range sets {
		pod := &set.Spec.Template.Spec
		for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
			for name := range container.Resources.Requests {
				names[name] = true
			}
			for name := range container.Resources.Limits {
				names[name] = true
			}
		}
	}
	return names
}
