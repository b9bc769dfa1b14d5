package status

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/internal/daemon"
)

// makeBudget returns a budget that the disruption controller cannot compute, for the pods of daemon <app>.
func makeBudget(name, app string, change ...func(*policyv1.PodDisruptionBudget)) *policyv1.PodDisruptionBudget {
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
	}
	meta.SetStatusCondition(&budget.Status.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: "daemonsets.everynode.dev does not implement the scale subresource",
	})
	for _, c := range change {
		c(budget)
	}
	return budget
}

// working makes a budget computable: it has the form that works.
func working(budget *policyv1.PodDisruptionBudget) {
	budget.Spec.MaxUnavailable, budget.Spec.MinAvailable = nil, new(intstr.FromInt32(4))
	meta.SetStatusCondition(&budget.Status.Conditions, metav1.Condition{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionTrue, Reason: policyv1.SufficientPodsReason})
}

// Only the daemons that a budget selects are reported, and only when its result changes.
func TestBudgetsReportSelectedDaemons(t *testing.T) {
	cluster, q, _ := statetest.New()
	for _, name := range []string{"d", "e"} {
		cluster.See(t, makeDaemon(name))
	}
	cluster.See(t, makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Namespace, set.UID = "other", "uid-other" }))
	b := NewBudgets(cluster.State)
	steps := []struct {
		name   string
		budget *policyv1.PodDisruptionBudget
		gone   bool
		want   []types.UID
	}{
		{"a budget that works", makeBudget("b", "d", working), false, nil},
		{"a failing budget", makeBudget("b", "d"), false, []types.UID{"uid-d"}},
		{"the same", makeBudget("b", "d"), false, nil},
		{"for another daemon", makeBudget("b", "e"), false, []types.UID{"uid-d", "uid-e"}},
		{"in another form", makeBudget("b", "e", func(b *policyv1.PodDisruptionBudget) {
			b.Spec.MaxUnavailable, b.Spec.MinAvailable = nil, new(intstr.FromString("50%"))
		}), false, []types.UID{"uid-e"}},
		{"corrected", makeBudget("b", "e", working), false, []types.UID{"uid-e"}},
		{"failing again", makeBudget("b", "e"), false, []types.UID{"uid-e"}},
		{"deleted", makeBudget("b", "e"), true, []types.UID{"uid-e"}},
		{"deleted after it worked", makeBudget("b", "e", working), true, nil},
	}
	for _, step := range steps {
		q.Drain()
		trimmed, err := caches.TrimBudget(step.budget)
		if err != nil {
			t.Fatal(err)
		}
		if step.gone {
			b.Forget(trimmed.(*policyv1.PodDisruptionBudget))
		} else {
			b.See(trimmed.(*policyv1.PodDisruptionBudget))
		}
		if _, got := q.Drain(); !cmp.Equal(step.want, got) {
			t.Errorf("%s: reported %v, want %v", step.name, got, step.want)
		}
	}
	if len(b.failing) != 0 {
		t.Errorf("%v are left of deleted budgets", b.failing)
	}
}

// However many budgets a tenant creates, a bounded number is compared with a daemon.
func TestBudgetsAreBounded(t *testing.T) {
	cluster, _, _ := statetest.New()
	b := NewBudgets(cluster.State)
	for i := range 2 * maxBudgets {
		b.See(makeBudget(fmt.Sprint("b", i), "d"))
	}
	if got := len(b.failing["ns"]); got != maxBudgets {
		t.Errorf("%d budgets are kept, want %d", got, maxBudgets)
	}
	for i := range 2 * maxBudgets {
		b.Forget(makeBudget(fmt.Sprint("b", i), "d"))
	}
	if len(b.failing) != 0 {
		t.Errorf("%d budgets are left", len(b.failing["ns"]))
	}
}

// Only the name of a working budget is kept.
func TestTrimBudget(t *testing.T) {
	for name, test := range map[string]struct {
		budget *policyv1.PodDisruptionBudget
		kept   bool
	}{"a failing budget": {makeBudget("b", "d"), true}, "a working budget": {makeBudget("b", "d", working), false}} {
		trimmed, err := caches.TrimBudget(test.budget)
		if err != nil {
			t.Fatal(err)
		}
		got := trimmed.(*policyv1.PodDisruptionBudget)
		if kept := got.Spec.Selector != nil; kept != test.kept || daemon.BudgetForm(got) != daemon.BudgetForm(test.budget) || got.UID != test.budget.UID {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// The condition exists while the budget fails, with one event.
func TestReporterReportsBudgets(t *testing.T) {
	d := newDesk(t)
	recorder := events.NewFakeRecorder(10)
	d.reconciler.events = recorder
	report := func() *metav1.Condition {
		d.clock.Advance(time.Minute)
		d.report(t)
		d.informed(t)
		return meta.FindStatusCondition(d.stored(t).Status.Conditions, v1alpha1.ConditionDisruptionBudget)
	}
	if got := report(); got != nil {
		t.Fatalf("without a budget there is the condition %+v", got)
	}
	d.reconciler.budgets.See(makeBudget("b", "d"))
	const want = "PodDisruptionBudget b allows no evictions: maxUnavailable needs a scale, which a DaemonSet does not have; use minAvailable with an integer instead"
	for range 2 {
		if got := report(); got == nil || got.Status != metav1.ConditionFalse || got.Reason != daemon.ReasonBudgetNotComputable || got.Message != want {
			t.Errorf("got condition %+v, want the message %q", got, want)
		}
	}
	if len(recorder.Events) != 1 {
		t.Fatalf("%d events, want 1", len(recorder.Events))
	}
	if got := <-recorder.Events; got != "Warning "+daemon.ReasonBudgetNotComputable+" "+want {
		t.Errorf("got event %q", got)
	}
	d.reconciler.budgets.See(makeBudget("b", "d", working))
	if got := report(); got != nil || len(recorder.Events) != 0 {
		t.Errorf("after the budget was corrected there are the condition %+v and %d events", got, len(recorder.Events))
	}
}
