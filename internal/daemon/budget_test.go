package daemon

import (
	"fmt"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestBudgetForm(t *testing.T) {
	failed := metav1.Condition{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason}
	selected := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	values := func(n int) *metav1.LabelSelector {
		in := metav1.LabelSelectorRequirement{Key: "app", Operator: metav1.LabelSelectorOpIn}
		for i := range n {
			in.Values = append(in.Values, fmt.Sprint(i))
		}
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{in}}
	}
	tests := map[string]struct {
		spec       policyv1.PodDisruptionBudgetSpec
		conditions []metav1.Condition
		want       string
	}{
		"maxUnavailable":                {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: selected}, []metav1.Condition{failed}, "maxUnavailable"},
		"maxUnavailable in percent":     {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromString("10%")), Selector: selected}, []metav1.Condition{failed}, "maxUnavailable"},
		"minAvailable in percent":       {policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromString("60%")), Selector: selected}, []metav1.Condition{failed}, "a percentage as minAvailable"},
		"an empty selector selects all": {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{}}, []metav1.Condition{failed}, "maxUnavailable"},
		"minAvailable failed otherwise": {policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromInt32(4)), Selector: selected}, []metav1.Condition{failed}, ""},
		"not synced yet":                {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: selected}, nil, ""},
		"it works, and allows none now": {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: selected}, []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason}}, ""},
		"it works":                      {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: selected}, []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionTrue, Reason: policyv1.SufficientPodsReason}}, ""},
		"no selector selects nothing":   {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1))}, []metav1.Condition{failed}, ""},
		"a selector of many values":     {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: values(maxBudgetSelector - 1)}, []metav1.Condition{failed}, "maxUnavailable"},
		"a selector of too many values": {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: values(maxBudgetSelector)}, []metav1.Condition{failed}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			budget := &policyv1.PodDisruptionBudget{Spec: test.spec, Status: policyv1.PodDisruptionBudgetStatus{Conditions: test.conditions}}
			if got := BudgetForm(budget); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestBudgetConditions(t *testing.T) {
	const remedy = " needs a scale, which a DaemonSet does not have; use minAvailable with an integer instead"
	tests := map[string]struct {
		forms map[string]string
		want  string
	}{
		"none": {nil, ""},
		"one":  {map[string]string{"a": "maxUnavailable"}, "PodDisruptionBudget a allows no evictions: maxUnavailable" + remedy},
		"several": {map[string]string{"b": "maxUnavailable", "a": "a percentage as minAvailable", "c": "maxUnavailable"},
			"PodDisruptionBudget a allows no evictions: a percentage as minAvailable" + remedy + " (also in b, c)"},
		"many": {map[string]string{"a": "maxUnavailable", "b": "maxUnavailable", "c": "maxUnavailable", "d": "maxUnavailable", "e": "maxUnavailable", "f": "maxUnavailable"},
			"PodDisruptionBudget a allows no evictions: maxUnavailable" + remedy + " (also in b, c, d and 2 more)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, condition := range BudgetConditions(test.forms) {
				got += condition.Message
				if condition.Type != v1alpha1.ConditionDisruptionBudget || condition.Status != metav1.ConditionFalse || condition.Reason != ReasonBudgetNotComputable {
					t.Errorf("got condition %+v", condition)
				}
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
