package daemon

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
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
	if !Native(owner) && groupOf(owner) != v1alpha1.GroupName {
		return nil, false
	}
	return owner, true
}

// Native says whether a reference to a DaemonSet is to one of apps, in whatever version: pods keep
// the reference that they were made with.
func Native(owner *metav1.OwnerReference) bool { return groupOf(owner) == appsv1.GroupName }

func groupOf(owner *metav1.OwnerReference) string {
	group, _, versioned := strings.Cut(owner.APIVersion, "/")
	if !versioned {
		return "" // the core group's
	}
	return group
}

// Target is the one node that a pod is on or can go to: spec.nodeName, else the name that
// every required node selector term pins by matchFields. It is false when there is none, or
// when the terms, which are ORed, leave a choice. A term that carries other pins too can match
// no other node either; one without requirements matches none and does not count.
func Target(pod *corev1.Pod) (node string, ok bool) {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName, true
	}
	return PinnedNode(&pod.Spec)
}

// PinnedNode is the one node that the required affinity of a pod leaves it, wherever it is now.
func PinnedNode(spec *corev1.PodSpec) (node string, ok bool) {
	terms := requiredTerms(spec)
	first := slices.IndexFunc(terms, func(term corev1.NodeSelectorTerm) bool { return !empty(&term) })
	if first < 0 {
		return "", false
	}
	for i := range terms[first].MatchFields {
		field := &terms[first].MatchFields[i]
		if !pins(field) || (ok && field.Values[0] == node) || !everyTermPins(terms, field.Values[0]) {
			continue
		}
		if ok { // two names in every term: there is no such node
			return "", false
		}
		node, ok = field.Values[0], true
	}
	return node, ok
}

func everyTermPins(terms []corev1.NodeSelectorTerm, node string) bool {
	return !slices.ContainsFunc(terms, func(term corev1.NodeSelectorTerm) bool {
		return !empty(&term) && !pinnedTo(&term, node)
	})
}

// empty says whether a term has no requirements: it matches no node.
func empty(term *corev1.NodeSelectorTerm) bool {
	return len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0
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

// pinnedElsewhere is a node that a term pins to and that is not this one.
func pinnedElsewhere(term *corev1.NodeSelectorTerm, node string) (other string, ok bool) {
	for i := range term.MatchFields {
		if field := &term.MatchFields[i]; pins(field) && field.Values[0] != node {
			return field.Values[0], true
		}
	}
	return "", false
}

// pins says whether a requirement is metadata.name In [one name].
func pins(field *corev1.NodeSelectorRequirement) bool {
	return field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1
}

// pinsTo says whether a requirement is metadata.name In [node].
func pinsTo(field *corev1.NodeSelectorRequirement, node string) bool {
	return pins(field) && field.Values[0] == node
}

// pinnedTo says whether a term's matchFields pin it to a node of this name.
func pinnedTo(term *corev1.NodeSelectorTerm, node string) bool {
	return slices.ContainsFunc(term.MatchFields, func(field corev1.NodeSelectorRequirement) bool { return pinsTo(&field, node) })
}
