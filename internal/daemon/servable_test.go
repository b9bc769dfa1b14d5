package daemon

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestSelector(t *testing.T) {
	app := map[string]string{"app": "d"}
	expression := func(operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: operator, Values: values}}}
	}
	tests := map[string]struct {
		selector *metav1.LabelSelector
		labels   map[string]string
		want     string // the reason why it is not served
	}{
		"labels":                     {&metav1.LabelSelector{MatchLabels: app}, app, ""},
		"an expression":              {expression(metav1.LabelSelectorOpIn, "d"), app, ""},
		"none":                       {nil, app, ReasonSelectorMismatch},
		"empty":                      {&metav1.LabelSelector{}, app, ReasonInvalidSelector},
		"a key that is none":         {&metav1.LabelSelector{MatchLabels: map[string]string{"a b": "x"}}, app, ReasonInvalidSelector},
		"a value that is none":       {&metav1.LabelSelector{MatchLabels: map[string]string{"app": "a b"}}, app, ReasonInvalidSelector},
		"an operator that is none":   {expression("Like", "d"), app, ReasonInvalidSelector},
		"an operator without values": {expression(metav1.LabelSelectorOpIn), app, ReasonInvalidSelector},
		"another label":              {&metav1.LabelSelector{MatchLabels: app}, map[string]string{"app": "e"}, ReasonSelectorMismatch},
		"no labels":                  {&metav1.LabelSelector{MatchLabels: app}, nil, ReasonSelectorMismatch},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			selector, problem := Selector(&Workload{Selector: tc.selector, Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: tc.labels}}})
			got := ""
			if problem != nil {
				got = problem.Reason
			}
			if got != tc.want || (selector == nil) != (problem != nil) {
				t.Errorf("Selector = %v, %+v, want %q", selector, problem, tc.want)
			}
		})
	}
}

// Whatever the problem, the conditions report it, in a length that can be shown.
func TestUnserved(t *testing.T) {
	long := Undecodable(errors.New("spec.a: " + strings.Repeat("ä", 1<<20)))
	conditions := unserved(*long)
	for kind, want := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionAvailable: metav1.ConditionUnknown, v1alpha1.ConditionProgressing: metav1.ConditionFalse,
		v1alpha1.ConditionDegraded: metav1.ConditionTrue, v1alpha1.ConditionStalled: metav1.ConditionTrue,
	} {
		got := meta.FindStatusCondition(conditions, kind)
		if got == nil || got.Status != want || got.Reason != ReasonSpecUndecodable || len(got.Message) > 1000 {
			t.Errorf("%s = %.200v, want %s", kind, got, want)
		}
	}
	degraded := meta.FindStatusCondition(conditions, v1alpha1.ConditionDegraded).Message
	if !strings.HasPrefix(degraded, "the spec cannot be decoded, correct it: spec.a: ") || !strings.HasSuffix(degraded, "no pod is created, replaced or deleted") {
		t.Errorf("Degraded: %s", degraded)
	}
}
