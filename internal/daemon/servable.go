package daemon

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Reasons why a DaemonSet is not served.
const (
	ReasonSpecUndecodable  = v1alpha1.ReasonSpecUndecodable
	ReasonInvalidSelector  = v1alpha1.ReasonInvalidSelector
	ReasonSelectorMismatch = v1alpha1.ReasonSelectorMismatch
	ReasonInvalidTemplate  = v1alpha1.ReasonInvalidTemplate
	ReasonInvalidRollout   = v1alpha1.ReasonInvalidRollout
	ReasonTooLarge         = v1alpha1.ReasonTooLarge
)

// Selector returns the selector of a DaemonSet that can be served; otherwise the problem is why it cannot.
//
// It checks what apps/v1 refuses, because objects may be stored without validation: an empty selector would
// match every pod of the namespace (k8s.io/kubernetes pkg/controller/daemon syncDaemonSet), and pods that the
// selector does not match would be created and released without end.
func Selector(w *Workload) (labels.Selector, *Problem) {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	switch {
	case err != nil:
		return nil, &Problem{Reason: ReasonInvalidSelector, Message: fmt.Sprintf("spec.selector is invalid: %v; a selector cannot be changed: delete the DaemonSet, with --cascade=orphan to keep its pods, and create it again", err)}
	case selector.Empty():
		return nil, &Problem{Reason: ReasonInvalidSelector, Message: "spec.selector is empty and would select every pod of the namespace: delete the DaemonSet, with --cascade=orphan to keep its pods, and create it again with the labels of its template in spec.selector"}
	case !selector.Matches(labels.Set(w.Template.Labels)):
		return nil, &Problem{Reason: ReasonSelectorMismatch, Message: "spec.selector does not match spec.template.metadata.labels: add every label that the selector requires to the template"}
	}
	return selector, nil
}

// Undecodable returns the problem of a DaemonSet whose spec cannot be decoded.
func Undecodable(err error) *Problem {
	return &Problem{Reason: ReasonSpecUndecodable, Message: "the spec cannot be decoded, correct it: " + err.Error()}
}

// unserved returns the conditions of a DaemonSet that is not served because of a problem. Its pods are not
// observed, so their availability is unknown.
func unserved(problem Problem) []metav1.Condition {
	const left = "; until then no pod is created, replaced or deleted"
	degraded := condition(v1alpha1.ConditionDegraded, true, problem.Reason, "%s%s", Shorten(problem.Message, shownCause), left)
	stalled := degraded
	stalled.Type = v1alpha1.ConditionStalled
	available := condition(v1alpha1.ConditionAvailable, false, problem.Reason, "not known: the DaemonSet is not served")
	available.Status = metav1.ConditionUnknown
	return []metav1.Condition{
		available, condition(v1alpha1.ConditionProgressing, false, problem.Reason, "the DaemonSet is not served"), degraded, stalled,
	}
}

// shownCause bounds the text of a problem, because undecodable input may be long.
const shownCause = 600
