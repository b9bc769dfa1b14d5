package model

import (
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// SeeRuntimeClass takes a RuntimeClass as it is now. The nodes are judged again for the daemons whose template names it,
// and pods are asked for again that were refused because it did not exist, or for what it was.
func (u Update) SeeRuntimeClass(class *nodev1.RuntimeClass) {
	for _, key := range inOrder(u.index.byRuntimeClass[class.Name]) {
		u.endRefusal(key, u.daemons[key], true)
	}
	former, known := u.schedulings[class.Name]
	if known && equality.Semantic.DeepEqual(former, class.Scheduling) {
		return
	}
	u.schedulings[class.Name] = class.Scheduling
	u.reschedule(class.Name)
}

// ForgetRuntimeClass notes that a RuntimeClass is gone.
func (u Update) ForgetRuntimeClass(name string) {
	if _, known := u.schedulings[name]; known {
		delete(u.schedulings, name)
		u.reschedule(name)
	}
}

// reschedule judges the nodes again for the daemons of a class.
func (u Update) reschedule(class string) {
	for _, key := range inOrder(u.index.byRuntimeClass[class]) {
		known := u.daemons[key]
		known.rules = u.rulesOf(known.object, known.templateRules)
		u.later(&judgeNodes{known: known, rules: known.rules, news: func(u Update, node *corev1.Node, _ daemon.Verdict) {
			u.changed(key.On(node.Name))
		}})
	}
}

// rulesOf adds what the RuntimeClass of a daemon asks of nodes to the rules of its template. That of a native daemon does
// not count, as in apps/v1.
func (u Update) rulesOf(object *v1alpha1.DaemonSet, rules *daemon.Rules) *daemon.Rules {
	if class := runtimeClassOf(object); class != "" {
		return rules.WithScheduling(&object.Spec.Template, u.schedulings[class])
	}
	return rules
}

func runtimeClassOf(object *v1alpha1.DaemonSet) string {
	if object == nil || object.Native() {
		return ""
	}
	return daemon.RuntimeClassOf(&object.Spec.Template)
}

// noteRuntimeClass finds a daemon by the class that it names from now on; none, when it is gone.
func (u Update) noteRuntimeClass(key DaemonKey, known *workload, class string) {
	if known.runtimeClass != "" {
		drop(u.index.byRuntimeClass, known.runtimeClass, key)
	}
	if known.runtimeClass = class; class != "" {
		put(u.index.byRuntimeClass, class, key, known)
	}
}
