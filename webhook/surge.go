package webhook

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
)

// surgeWarnings returns the reasons why a new pod can never run beside the old one, so that a surging rollout never ends.
func surgeWarnings(ctx context.Context, set *appsv1.DaemonSet, nodes *Nodes) (found []string) {
	if !surges(set) {
		return nil
	}
	if port, ok := hostPort(&set.Spec.Template.Spec); ok {
		found = append(found, fmt.Sprintf("spec: hostPort %d with maxSurge: the new pod can never use the old one's port; use maxUnavailable instead", port))
	}
	if term, ok := avoidsItself(set); ok {
		found = append(found, fmt.Sprintf("spec: podAntiAffinity term %d with maxSurge: it keeps out the new pod; add matchLabelKeys [%s]", term, appsv1.ControllerRevisionHashLabelKey))
	}
	if name, compared := nodes.tooLargeTwice(ctx, &set.Spec.Template.Spec); compared > 0 {
		found = append(found, fmt.Sprintf("spec: requests of %s with maxSurge: none of %d nodes has room for two pods; use maxUnavailable instead", name, compared))
	}
	return found
}

// surges reports whether a rollout creates new pods beside the old ones.
func surges(set *appsv1.DaemonSet) bool {
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	if set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || rolling == nil || rolling.MaxSurge == nil {
		return false
	}
	surge, err := intstr.GetScaledValueFromIntOrPercent(rolling.MaxSurge, 100, true)
	return err == nil && surge > 0
}

// hostPort returns a port of the node that a pod uses. With the host network every declared port is one.
func hostPort(pod *corev1.PodSpec) (port int32, ok bool) {
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, declared := range container.Ports {
			switch {
			case declared.HostPort != 0:
				return declared.HostPort, true
			case pod.HostNetwork:
				return declared.ContainerPort, true
			}
		}
	}
	return 0, false
}

// avoidsItself returns the first required anti-affinity term that matches the DaemonSet's own pods of every revision. Two
// pods on one node are in one domain, whatever the topology.
func avoidsItself(set *appsv1.DaemonSet) (term int, ok bool) {
	affinity := set.Spec.Template.Spec.Affinity
	if affinity == nil || affinity.PodAntiAffinity == nil {
		return 0, false
	}
	own := labels.Set(set.Spec.Template.Labels)
	for i := range affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		term := &affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[i]
		if matchesNamespace(term, set.Namespace) && matchesAnyRevision(term, own) {
			return i, true
		}
	}
	return 0, false
}

// matchesNamespace reports whether a term certainly selects a namespace. The namespace's labels are not known here.
func matchesNamespace(term *corev1.PodAffinityTerm, namespace string) bool {
	if selector := term.NamespaceSelector; selector != nil {
		return len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 || slices.Contains(term.Namespaces, namespace)
	}
	return len(term.Namespaces) == 0 || slices.Contains(term.Namespaces, namespace)
}

// revisionLabels are those that differ between the pods of two revisions.
var revisionLabels = sets.New(appsv1.ControllerRevisionHashLabelKey, extensionsv1beta1.DaemonSetTemplateGenerationKey)

// matchesAnyRevision reports whether a term matches pods with the same labels, whatever their revision.
func matchesAnyRevision(term *corev1.PodAffinityTerm, own labels.Set) bool {
	if revisionLabels.HasAny(term.MatchLabelKeys...) || term.LabelSelector == nil {
		return false
	}
	// The API server adds these requirements to the selector of a pod.
	for _, key := range term.MismatchLabelKeys {
		if own.Has(key) && !revisionLabels.Has(key) {
			return false
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
	if err != nil {
		return false
	}
	requirements, _ := selector.Requirements()
	for i := range requirements {
		if revisionLabels.Has(requirements[i].Key()) {
			return false
		}
	}
	return selector.Matches(own)
}
