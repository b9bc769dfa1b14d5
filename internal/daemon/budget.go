package daemon

import (
	"fmt"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// ReasonBudgetNotComputable is the reason of the condition DisruptionBudget, and of its event.
const ReasonBudgetNotComputable = v1alpha1.ReasonBudgetNotComputable

// maxBudgetSelector bounds the labels, keys and values of a budget's selector; larger ones are ignored.
const maxBudgetSelector = 256

// BudgetForm returns the part of a PodDisruptionBudget's spec for which the disruption controller needs the
// scale of the pods' owner, if it has failed for that reason; "" if the budget works, fails for another reason,
// or has a selector too large to match with. No DaemonSet of either kind has a scale (k8s.io/kubernetes
// pkg/controller/disruption getExpectedPodCount, getScaleController).
func BudgetForm(budget *policyv1.PodDisruptionBudget) string {
	allowed := meta.FindStatusCondition(budget.Status.Conditions, policyv1.DisruptionAllowedCondition)
	if allowed == nil || allowed.Status != metav1.ConditionFalse || allowed.Reason != policyv1.SyncFailedReason || !matchable(budget.Spec.Selector) {
		return ""
	}
	switch spec := budget.Spec; {
	case spec.MaxUnavailable != nil:
		return "maxUnavailable"
	case spec.MinAvailable != nil && spec.MinAvailable.Type == intstr.String:
		return "a percentage as minAvailable"
	}
	return ""
}

// matchable reports whether a selector is small enough to be compared with every daemon of its namespace.
func matchable(selector *metav1.LabelSelector) bool {
	if selector == nil {
		return false // it selects nothing
	}
	size := len(selector.MatchLabels) + len(selector.MatchExpressions)
	for i := range selector.MatchExpressions {
		size += len(selector.MatchExpressions[i].Values)
	}
	return size <= maxBudgetSelector
}

// BudgetConditions returns the condition DisruptionBudget if budgets that select the daemon's pods cannot be
// computed (by name, their forms), else none.
func BudgetConditions(forms map[string]string) []metav1.Condition {
	if len(forms) == 0 {
		return nil
	}
	names := make([]string, 0, len(forms))
	for name := range forms {
		names = append(names, name)
	}
	slices.Sort(names)
	message := fmt.Sprintf("PodDisruptionBudget %s allows no evictions: %s needs a scale, which a DaemonSet does not have; use minAvailable with an integer instead",
		names[0], forms[names[0]])
	if more := names[1:]; len(more) > 0 {
		message += fmt.Sprintf(" (also in %s)", list(more, len(more)))
	}
	return []metav1.Condition{condition(v1alpha1.ConditionDisruptionBudget, false, ReasonBudgetNotComputable, "%s", strings.TrimSpace(message))}
}
