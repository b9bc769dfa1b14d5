package status

import (
	"sync"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// maxBudgets bounds the PodDisruptionBudgets of a namespace that are compared with its daemons.
const maxBudgets = 100

// Budgets are the PodDisruptionBudgets that the disruption controller cannot compute for pods of a DaemonSet.
// Working ones are not kept. It is safe for concurrent use.
type Budgets struct {
	mu      sync.Mutex
	failing map[string]map[string]failingBudget // by namespace and name
	state   *state.State
}

// failingBudget is one that cannot be computed.
type failingBudget struct {
	form     string
	selector labels.Selector
}

// NewBudgets returns an empty set, which reports the daemons that a changed budget selects.
func NewBudgets(of *state.State) *Budgets {
	return &Budgets{state: of, failing: map[string]map[string]failingBudget{}}
}

// See records the current state of a budget.
func (b *Budgets) See(budget *policyv1.PodDisruptionBudget) {
	now, fails := failingBudget{form: daemon.BudgetForm(budget)}, false
	if now.form != "" {
		var err error
		now.selector, err = metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		fails = err == nil
	}
	b.change(budget.Namespace, budget.Name, now, fails)
}

// Forget forgets a budget.
func (b *Budgets) Forget(budget *policyv1.PodDisruptionBudget) {
	b.change(budget.Namespace, budget.Name, failingBudget{}, false)
}

// change reports the daemons that a budget selected, and those that it selects now.
func (b *Budgets) change(namespace, name string, now failingBudget, fails bool) {
	b.mu.Lock()
	former, failed := b.failing[namespace][name]
	switch {
	case fails && !failed && len(b.failing[namespace]) >= maxBudgets:
		fails = false
	case fails:
		if b.failing[namespace] == nil {
			b.failing[namespace] = map[string]failingBudget{}
		}
		b.failing[namespace][name] = now
	case failed:
		delete(b.failing[namespace], name)
		if len(b.failing[namespace]) == 0 {
			delete(b.failing, namespace)
		}
	}
	b.mu.Unlock()
	if failed && fails && former.form == now.form && former.selector.String() == now.selector.String() {
		return
	}
	if failed {
		b.report(namespace, former.selector)
	}
	if fails {
		b.report(namespace, now.selector)
	}
}

// report enqueues the status of the daemons that a selector selects.
func (b *Budgets) report(namespace string, selector labels.Selector) {
	b.state.Update(func(u model.Update) { u.ReportSelected(namespace, selector) })
}

// conditions returns the conditions that budgets add to a daemon's status.
func (b *Budgets) conditions(of *daemon.Workload) []metav1.Condition {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var forms map[string]string
	for name, budget := range b.failing[of.Key.Namespace] {
		if budget.selector.Matches(labels.Set(of.Template.Labels)) {
			if forms == nil {
				forms = map[string]string{}
			}
			forms[name] = budget.form
		}
	}
	return daemon.BudgetConditions(forms)
}
