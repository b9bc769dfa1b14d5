package lifecycle

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/labtest"
)

// A PodDisruptionBudget that the disruption controller cannot compute for pods of a DaemonSet is reported by a condition and
// an event. Once it is corrected, evictions are allowed and the condition is removed.
func budgetNotComputable(c *labtest.Cluster) {
	for _, kind := range bothKinds {
		namespace := makeNamespace(c, "budget", kind, nil)
		guarded := c.MakeWorkload(kind, labtest.DaemonSet("guarded", onFirst, inNamespace(namespace)))
		other := c.MakeWorkload(kind, labtest.DaemonSet("other", onFirst, inNamespace(namespace)))
		budget := &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "guard"},
			Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: guarded.Spec.Selector},
		}
		c.Make(budget)
		change := func(minAvailable intstr.IntOrString) {
			before := budget.DeepCopy()
			budget.Spec.MaxUnavailable, budget.Spec.MinAvailable = nil, &minAvailable
			c.Must(c.Patch(c.T.Context(), budget, client.MergeFrom(before)))
		}
		waitForBudget(c, guarded, "maxUnavailable")
		change(intstr.FromString("50%"))
		waitForBudget(c, guarded, "a percentage as minAvailable")
		change(intstr.FromInt32(0))
		waitForBudget(c, guarded, "")
		c.Eventually("the corrected budget allows an eviction", func(ctx context.Context) (string, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(budget), budget)
			if budget.Status.DisruptionsAllowed == 0 {
				return fmt.Sprintf("%+v", budget.Status), err
			}
			return "", err
		})
		change(intstr.FromString("50%"))
		waitForBudget(c, guarded, "a percentage as minAvailable")
		c.Must(c.Delete(c.T.Context(), budget))
		waitForBudget(c, guarded, "")
		checkBudgetEvents(c, guarded, other)
	}
}

// waitForBudget waits until the condition DisruptionBudget has a message, or is removed.
func waitForBudget(c *labtest.Cluster, w *labtest.Workload, text string) {
	c.T.Helper()
	const head = "PodDisruptionBudget guard allows no evictions: "
	c.WaitForWorkload(w, fmt.Sprintf("the condition DisruptionBudget with %q", text), func(status *v1alpha1.DaemonSetStatus) bool {
		condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDisruptionBudget)
		if text == "" {
			return condition == nil
		}
		return condition != nil && condition.Status == metav1.ConditionFalse && strings.HasPrefix(condition.Message, head+text) &&
			strings.HasSuffix(condition.Message, "use minAvailable with an integer instead")
	})
}

// checkBudgetEvents counts the events: one for each change of the condition, and none for a daemon that the budget
// does not select.
func checkBudgetEvents(c *labtest.Cluster, guarded, other *labtest.Workload) {
	c.T.Helper()
	c.Eventually("each problem with the budget of "+guarded.Namespace+" has its event", func(ctx context.Context) (string, error) {
		var events corev1.EventList
		if err := c.List(ctx, &events, client.InNamespace(guarded.Namespace)); err != nil {
			return "", err
		}
		told := map[string]int{}
		for i := range events.Items {
			if event := &events.Items[i]; event.Reason == daemon.ReasonBudgetNotComputable {
				if event.InvolvedObject.UID == other.UID {
					c.T.Errorf("the budget does not select %s, which has the event: %s", other.Name, event.Message)
				}
				told[event.Message]++
			}
		}
		if len(told) != 2 {
			return fmt.Sprintf("%v", told), nil
		}
		return "", nil
	})
}
