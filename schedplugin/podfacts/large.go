package podfacts

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// many is the largest number of elements, in all lists together, of an ordinary pod.
const many = 256

// Large reports whether a pod is too large for hints to read. It reads at most `many` elements itself. Wake
// such a pod instead: the queue's back-off bounds how often.
func Large(pod *corev1.Pod) bool {
	budget := many - len(pod.OwnerReferences) - len(pod.Spec.NodeSelector)
	spec := &pod.Spec
	budget -= len(spec.Tolerations) + len(spec.Volumes) + len(spec.TopologySpreadConstraints) + len(spec.ResourceClaims)
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		budget -= len(containers)
		for i := 0; i < len(containers) && budget >= 0; i++ {
			budget -= len(containers[i].Ports) + len(containers[i].Resources.Requests) + len(containers[i].Resources.Limits)
		}
	}
	return !nodeTerms(spec.Affinity, &budget) || !podTerms(spec.Affinity, &budget)
}

// nodeTerms subtracts the required node affinity from the budget, and reports whether it was sufficient.
func nodeTerms(affinity *corev1.Affinity, budget *int) bool {
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return *budget >= 0
	}
	terms := affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	*budget -= len(terms)
	for i := 0; i < len(terms) && *budget >= 0; i++ {
		*budget -= len(terms[i].MatchFields) + len(terms[i].MatchExpressions)
		for j := 0; j < len(terms[i].MatchExpressions) && *budget >= 0; j++ {
			*budget -= len(terms[i].MatchExpressions[j].Values)
		}
	}
	return *budget >= 0
}

// podTerms subtracts the required terms of inter-pod affinity and anti-affinity.
func podTerms(affinity *corev1.Affinity, budget *int) bool {
	if affinity == nil {
		return *budget >= 0
	}
	var lists [2][]corev1.PodAffinityTerm
	if affinity.PodAffinity != nil {
		lists[0] = affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if affinity.PodAntiAffinity != nil {
		lists[1] = affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	for _, terms := range lists {
		*budget -= len(terms)
		for i := 0; i < len(terms) && *budget >= 0; i++ {
			term := &terms[i]
			*budget -= len(term.Namespaces) + len(term.MatchLabelKeys) + len(term.MismatchLabelKeys)
			labelSelector(term.LabelSelector, budget)
			labelSelector(term.NamespaceSelector, budget)
		}
	}
	return *budget >= 0
}

func labelSelector(selector *metav1.LabelSelector, budget *int) {
	if selector == nil {
		return
	}
	*budget -= len(selector.MatchLabels) + len(selector.MatchExpressions)
	for i := 0; i < len(selector.MatchExpressions) && *budget >= 0; i++ {
		*budget -= len(selector.MatchExpressions[i].Values)
	}
}
