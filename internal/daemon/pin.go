package daemon

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// ContradictoryPinError: a pod names one node in spec.nodeName and is pinned to others by every term of its
// affinity, so that no scheduler can place it.
type ContradictoryPinError struct {
	NodeName string // spec.nodeName
	Pinned   string // another node, which a required term's matchFields require
}

func (e *ContradictoryPinError) Error() string {
	return fmt.Sprintf("spec.nodeName is %q, but the required node affinity pins the pod to %q by matchFields metadata.name: remove one of the two, or make them agree", e.NodeName, e.Pinned)
}

// OversizedAffinityError: a pod has more terms and matchFields in its required node affinity, including the
// pins, than are read to find its node.
type OversizedAffinityError struct {
	Terms int
}

func (e *OversizedAffinityError) Error() string {
	return fmt.Sprintf("the required node affinity has %d terms, which together with their matchFields and a pin in each are more than the %d that are served: label the nodes and select them by the label, or remove spec.nodeName", e.Terms, maxLooked)
}

// Pin ANDs matchFields metadata.name In [node] into every required node affinity term of spec, because terms
// are ORed and one without a pin would allow other nodes; without required affinity it creates the one term.
// The pin comes first in its term: kube-controller-manager uses the first node that it finds as the target
// (k8s.io/kubernetes pkg/controller/daemon/util GetTargetNodeName), and a template may name others. Everything
// else stays. Pinning twice changes nothing.
func Pin(spec *corev1.PodSpec, node string) {
	pin := corev1.NodeSelectorRequirement{
		Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	affinity := spec.Affinity.NodeAffinity
	required := affinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{pin}}},
		}
		return
	}
	pinTerms(required.NodeSelectorTerms, pin)
}

// pinTerms puts the pin first into every term that needs it. One array holds the matchFields of all terms:
// there may be tens of thousands, and allocations dominate their cost.
func pinTerms(terms []corev1.NodeSelectorTerm, pin corev1.NodeSelectorRequirement) {
	node, room := pin.Values[0], 0
	for i := range terms {
		if needsPin(&terms[i], node) {
			room += 1 + len(terms[i].MatchFields)
		}
	}
	fields := make([]corev1.NodeSelectorRequirement, 0, room)
	for i := range terms {
		if term := &terms[i]; needsPin(term, node) {
			from := len(fields)
			fields = append(append(fields, pin), term.MatchFields...)
			term.MatchFields = slices.Clip(fields[from:])
		}
	}
}

// needsPin is false for an empty term, which matches no node: a pin would make it match one. The same would
// happen with an added term where there are none, which the API server refuses.
func needsPin(term *corev1.NodeSelectorTerm, node string) bool {
	return !empty(term) && (len(term.MatchFields) == 0 || !pinsTo(&term.MatchFields[0], node))
}

// Rewrite turns spec.nodeName into a pin, in place, both in admission and in the controller when admission is
// not effective. It removes spec.nodeName and our scheduling gate (no other), sets PlacedByAnnotation, and
// assigns a daemon's pod to our scheduler, which limits it to one per node. A pod without spec.nodeName stays
// unchanged; so Rewrite is idempotent.
//
// It fails with *ContradictoryPinError, and changes nothing, if every term pins the pod elsewhere, and with
// *OversizedAffinityError if there are too many terms: PinnedNode would not find the pin.
func Rewrite(pod *corev1.Pod, placedBy string) (changed bool, err error) {
	node := pod.Spec.NodeName
	if node == "" {
		return false, nil
	}
	if err := CheckPin(pod); err != nil {
		return false, err
	}
	Pin(&pod.Spec, node)
	pod.Spec.NodeName = ""
	pod.Spec.SchedulingGates = slices.DeleteFunc(pod.Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) bool {
		return gate.Name == v1alpha1.PlacementGate
	})
	if len(pod.Spec.SchedulingGates) == 0 {
		pod.Spec.SchedulingGates = nil
	}
	if _, owned := OwnedByDaemon(pod); owned {
		pod.Spec.SchedulerName = v1alpha1.SchedulerName
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[v1alpha1.PlacedByAnnotation] = placedBy
	return true, nil
}

// CheckPin returns Rewrite's error without rewriting.
func CheckPin(pod *corev1.Pod) error {
	if pod.Spec.NodeName == "" {
		return nil
	}
	terms := requiredTerms(&pod.Spec)
	room := maxLooked - 2*len(terms)
	if room < 0 || countFields(terms, room) > room {
		return &OversizedAffinityError{Terms: len(terms)}
	}
	if other, ok := contradiction(terms, pod.Spec.NodeName); ok {
		return &ContradictoryPinError{NodeName: pod.Spec.NodeName, Pinned: other}
	}
	return nil
}

// contradiction returns another node that terms require, if none of them can match this one.
func contradiction(terms []corev1.NodeSelectorTerm, node string) (other string, ok bool) {
	for i := range terms {
		if empty(&terms[i]) {
			continue
		}
		if other, ok = pinnedElsewhere(&terms[i], node); !ok {
			return "", false
		}
	}
	return other, ok
}
