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

// classTerms are the rules that the template's RuntimeClass adds.
type classTerms struct {
	name     string
	selector labels.Selector
}

// WithScheduling returns the rules for pods into which the scheduling of the template's RuntimeClass is merged,
// as the admission plugin RuntimeClass does (k8s.io/kubernetes plugin/pkg/admission/runtimeclass
// setScheduling). A node that the class does not select gets no pod, and the pod tolerates what the class
// tolerates.
//
// All of it applies when a pod starts and never ends one, because a class may change or disappear under running
// pods. Those keep the tolerations that they were stored with, so taint eviction decides whether a NoExecute
// taint ends one.
//
// Nothing is merged from a class that does not exist, or whose nodeSelector requires another value than the
// template's: the API server refuses such pods with a reason. The same applies to more scheduling than a
// template may have.
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
		"node %s does not match the nodeSelector of RuntimeClass %s; an existing pod stays", node.Name, Shorten(t.name, maxObjectName))}
}

// closesToWaiting reports whether a node where a running pod stays must lose a pod that is not bound.
func (v *Verdict) closesToWaiting() bool { return v.ShouldContinue && v.Reason == ReasonRuntimeClass }

// RuntimeClassOf returns the name of a template's RuntimeClass, "" if it names none, or an invalid one.
func RuntimeClassOf(template *corev1.PodTemplateSpec) string {
	name := template.Spec.RuntimeClassName
	if name == nil || len(*name) > maxObjectName {
		return ""
	}
	return *name
}
