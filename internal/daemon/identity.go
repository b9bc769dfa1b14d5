package daemon

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Key is a daemon's place on a node: the unit of "at most one" (S1). It is never made of
// labels, which anyone who creates pods can forge.
type Key struct {
	Namespace string
	Owner     types.UID
	Node      string
}

// KeyOf is the place that a pod holds or waits for. It is false for a pod that no daemon owns
// or that may go to more than one node.
func KeyOf(pod *corev1.Pod) (Key, bool) {
	owner, ok := OwnedByDaemon(pod)
	if !ok {
		return Key{}, false
	}
	node, ok := Target(pod)
	if !ok {
		return Key{}, false
	}
	return Key{Namespace: pod.Namespace, Owner: owner.UID, Node: node}, true
}

// OwnedByDaemon gives the controller reference of a pod when it names a DaemonSet, of this
// project or of apps.
func OwnedByDaemon(pod metav1.Object) (*metav1.OwnerReference, bool) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != v1alpha1.DaemonSetKind.Kind {
		return nil, false
	}
	group, _, versioned := strings.Cut(owner.APIVersion, "/")
	if !versioned || (group != v1alpha1.GroupName && group != "apps") {
		return nil, false
	}
	return owner, true
}

// Target is the one node that a pod is on or can go to: spec.nodeName, else the name that
// every required node selector term pins by matchFields. It is false when there is none, or
// when the terms, which are ORed, leave a choice.
func Target(pod *corev1.Pod) (node string, ok bool) {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName, true
	}
	terms := requiredTerms(&pod.Spec)
	for i := range terms {
		name, pinned := pinOf(&terms[i])
		if !pinned || (i > 0 && name != node) {
			return "", false
		}
		node = name
	}
	return node, len(terms) > 0
}

// requiredTerms are the ORed terms of the required node affinity; none when there is no such
// affinity.
func requiredTerms(spec *corev1.PodSpec) []corev1.NodeSelectorTerm {
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return nil
	}
	required := spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		return nil
	}
	return required.NodeSelectorTerms
}

// pinOf is the node that a term's matchFields allow, when they allow just one. Several pins
// are ANDed: two that differ allow none, which is not a target either.
func pinOf(term *corev1.NodeSelectorTerm) (node string, ok bool) {
	for i := range term.MatchFields {
		field := &term.MatchFields[i]
		if !pins(field) {
			continue
		}
		if ok && field.Values[0] != node {
			return "", false
		}
		node, ok = field.Values[0], true
	}
	return node, ok
}

// pins says whether a requirement is metadata.name In [one name].
func pins(field *corev1.NodeSelectorRequirement) bool {
	return field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1
}

// pinnedTo says whether a term's matchFields pin it to a node of this name.
func pinnedTo(term *corev1.NodeSelectorTerm, node string) bool {
	return slices.ContainsFunc(term.MatchFields, func(field corev1.NodeSelectorRequirement) bool {
		return pins(&field) && field.Values[0] == node
	})
}
