package daemon

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// CellKey identifies a cell: the unit of "at most one" (S1). It is never derived from labels, which any user
// who creates pods can forge.
type CellKey struct {
	Namespace string
	Owner     types.UID
	Node      string
}

// CellOf returns the cell of a pod, bound or waiting. It is false for a pod that no daemon owns or that is not
// pinned to one node.
func CellOf(pod *corev1.Pod) (CellKey, bool) {
	owner, ok := OwnedByDaemon(pod)
	if !ok {
		return CellKey{}, false
	}
	node, ok := Target(pod)
	if !ok {
		return CellKey{}, false
	}
	return CellKey{Namespace: pod.Namespace, Owner: owner.UID, Node: node}, true
}

// ControllerOf returns the controller reference of an object, or nil. An object with more than MaxOwners owners
// has none, so that events stay cheap.
func ControllerOf(object metav1.Object) *metav1.OwnerReference {
	if len(object.GetOwnerReferences()) > MaxOwners {
		return nil
	}
	return metav1.GetControllerOfNoCopy(object)
}

// OwnedByDaemon returns the controller reference of a pod if it names a DaemonSet of everynode.dev or apps.
func OwnedByDaemon(pod metav1.Object) (*metav1.OwnerReference, bool) {
	owner := ControllerOf(pod)
	if owner == nil || KindOf(owner) == nil || len(owner.Name) > maxObjectName || len(owner.UID) > maxUID {
		return nil, false
	}
	return owner, true
}

func groupOf(owner *metav1.OwnerReference) string {
	group, _, versioned := strings.Cut(owner.APIVersion, "/")
	if !versioned {
		return "" // the core group
	}
	return group
}

// Target returns the one node that a pod is on or can run on: spec.nodeName, else the name that every required
// nodeSelectorTerm pins by matchFields (PinnedNode).
func Target(pod *corev1.Pod) (node string, ok bool) {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName, true
	}
	return PinnedNode(&pod.Spec)
}

// PinnedNode returns the one node that the required affinity of a pod allows, wherever it is now. It is false
// if there is none, or if the terms, which are ORed, allow several. A term without requirements, or one that
// requires two nodes at once, matches no node and does not count.
//
// Users who create pods decide how many terms and matchFields there are. A pod with more than maxLooked of
// them, which no served template creates, counts as not pinned, without reading them; otherwise each is read at
// most once, and two different names decide a term or the whole question.
func PinnedNode(spec *corev1.PodSpec) (node string, ok bool) {
	node, ok, _ = pinnedNode(requiredTerms(spec))
	return node, ok
}

// pinnedNode also counts the terms and matchFields that it read.
func pinnedNode(terms []corev1.NodeSelectorTerm) (node string, ok bool, looked int) {
	if countFields(terms, maxLooked-len(terms)) > maxLooked-len(terms) {
		return "", false, 0
	}
	for i := range terms {
		pin, contradictory, fields := pinOf(&terms[i])
		looked += 1 + fields
		switch {
		case contradictory || empty(&terms[i]):
		case pin == "" || ok && pin != node:
			return "", false, looked
		default:
			node, ok = pin, true
		}
	}
	return node, ok, looked
}

// countFields returns how many matchFields terms have in all, or more than most, without reading them.
func countFields(terms []corev1.NodeSelectorTerm, most int) (n int) {
	for i := 0; i < len(terms) && n <= most; i++ {
		n += len(terms[i].MatchFields)
	}
	return n
}

// pinOf returns the one node that a term's matchFields require by name, "" if they require none. A term that
// requires two is contradictory.
func pinOf(term *corev1.NodeSelectorTerm) (node string, contradictory bool, looked int) {
	for i := range term.MatchFields {
		looked++
		switch field := &term.MatchFields[i]; {
		case !pins(field):
		case node == "":
			node = field.Values[0]
		case field.Values[0] != node:
			return "", true, looked
		}
	}
	return node, false, looked
}

// empty reports whether a term has no requirements: it matches no node.
func empty(term *corev1.NodeSelectorTerm) bool {
	return len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0
}

// requiredTerms returns the ORed terms of the required node affinity; none without such an affinity.
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

// pinnedElsewhere returns a node other than this one that a term pins to.
func pinnedElsewhere(term *corev1.NodeSelectorTerm, node string) (other string, ok bool) {
	for i := range term.MatchFields {
		if field := &term.MatchFields[i]; pins(field) && field.Values[0] != node {
			return field.Values[0], true
		}
	}
	return "", false
}

// pins reports whether a requirement is metadata.name In [one name].
func pins(field *corev1.NodeSelectorRequirement) bool {
	return field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1
}

// pinsTo reports whether a requirement is metadata.name In [node].
func pinsTo(field *corev1.NodeSelectorRequirement, node string) bool {
	return pins(field) && field.Values[0] == node
}
