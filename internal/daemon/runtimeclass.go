package daemon

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ReasonRuntimeClass is the reason of a node that the RuntimeClass of the template does not select.
const ReasonRuntimeClass Reason = "RuntimeClassMismatch"

// classTerms are what the RuntimeClass that a template names adds to its rules.
type classTerms struct {
	name     string
	selector labels.Selector
}

// WithScheduling returns the rules of pods into which the scheduling of the template's RuntimeClass is merged, as the
// admission plugin RuntimeClass does (k8s.io/kubernetes plugin/pkg/admission/runtimeclass setScheduling). A node that
// the class does not select gets no pod, and what the class tolerates, the pod tolerates.
//
// All of it counts when a pod starts and never ends one, for a class may change or disappear under pods that run. Those
// keep the tolerations that they were stored with, so whether a NoExecute taint ends one is left to taint eviction.
//
// Nothing is merged of a class that does not exist, or whose nodeSelector asks for another value than the template's:
// the API server refuses such pods and says why. So it is with more scheduling than a template may have.
func (r *Rules) WithScheduling(template *corev1.PodTemplateSpec, scheduling *nodev1.Scheduling) *Rules {
	name := RuntimeClassOf(template)
	if name == "" {
		return r
	}
	merged := *r
	merged.class = &classTerms{name: name, selector: labels.Everything()}
	if scheduling == nil || tooLarge(scheduling) || conflicting(template.Spec.NodeSelector, scheduling.NodeSelector) {
		return &merged
	}
	merged.tolerations = slices.Concat(r.tolerations, scheduling.Tolerations)
	merged.class.selector = labels.SelectorFromSet(scheduling.NodeSelector)
	return &merged
}

// conflicting reports whether two node selectors ask for different values of a label.
func conflicting(a, b map[string]string) bool {
	for key, value := range b {
		if other, both := a[key]; both && other != value {
			return true
		}
	}
	return false
}

func tooLarge(scheduling *nodev1.Scheduling) bool {
	return len(scheduling.NodeSelector)+len(scheduling.Tolerations) > MaxRequirements
}

// start turns the verdict on a node that is eligible by the template into that of the class.
func (t *classTerms) start(node *corev1.Node, verdict Verdict) Verdict {
	if t == nil || t.selector.Matches(labels.Set(node.Labels)) {
		return verdict
	}
	return Verdict{ShouldContinue: true, Reason: ReasonRuntimeClass, Message: fmt.Sprintf(
		"node %s does not match the nodeSelector of RuntimeClass %s; a pod that is there stays", node.Name, Shorten(t.name, maxObjectName))}
}

// closesToWaiting reports whether a pod that is not bound has to go from a node where one that runs stays.
func (v *Verdict) closesToWaiting() bool { return v.ShouldContinue && v.Reason == ReasonRuntimeClass }

// RuntimeClassOf is the name of the RuntimeClass that a template asks for, "" when it asks for none, or for one of a
// name that no object can have.
func RuntimeClassOf(template *corev1.PodTemplateSpec) string {
	name := template.Spec.RuntimeClassName
	if name == nil || len(*name) > maxObjectName {
		return ""
	}
	return *name
}
