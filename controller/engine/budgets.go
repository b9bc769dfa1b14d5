package engine

import (
	"sync"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// maxBudgets bounds the PodDisruptionBudgets of a namespace that are compared with its daemons.
const maxBudgets = 100

// budgets are the PodDisruptionBudgets that the disruption controller cannot compute for pods of a DaemonSet.
// Working ones are not kept. It is safe for concurrent use.
type budgets struct {
	mu       sync.Mutex
	failing  map[string]map[string]failingBudget              // by namespace and name
	selected func(namespace string, selector labels.Selector) // reports the daemons that a selector selects
}

// failingBudget is one that cannot be computed.
type failingBudget struct {
	form     string
	selector labels.Selector
}

func newBudgets(selected func(string, labels.Selector)) *budgets {
	return &budgets{failing: map[string]map[string]failingBudget{}, selected: selected}
}

// seen records the present state of a budget.
func (b *budgets) seen(budget *policyv1.PodDisruptionBudget) {
	now, fails := failingBudget{form: daemon.BudgetForm(budget)}, false
	if now.form != "" {
		var err error
		now.selector, err = metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		fails = err == nil
	}
	b.change(budget.Namespace, budget.Name, now, fails)
}

// gone forgets a budget.
func (b *budgets) gone(budget *policyv1.PodDisruptionBudget) {
	b.change(budget.Namespace, budget.Name, failingBudget{}, false)
}

// change reports the daemons that a budget selected, and those that it selects now.
func (b *budgets) change(namespace, name string, now failingBudget, fails bool) {
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
		b.selected(namespace, former.selector)
	}
	if fails {
		b.selected(namespace, now.selector)
	}
}

// conditions returns the conditions that budgets add to a daemon's status.
func (b *budgets) conditions(object *v1alpha1.DaemonSet) []metav1.Condition {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var forms map[string]string
	for name, budget := range b.failing[object.Namespace] {
		if budget.selector.Matches(labels.Set(object.Spec.Template.Labels)) {
			if forms == nil {
				forms = map[string]string{}
			}
			forms[name] = budget.form
		}
	}
	return daemon.BudgetConditions(forms)
}
