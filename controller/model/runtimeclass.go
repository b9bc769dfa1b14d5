package model

import (
	"slices"

	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/everynode/everynode/internal/daemon"
)

// SeeRuntimeClass applies the present state of a RuntimeClass. For the daemons with a template that names it, nodes are
// judged again, and pods that were refused because of the class are retried.
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

// ForgetRuntimeClass removes a RuntimeClass.
func (u Update) ForgetRuntimeClass(name string) {
	if _, known := u.schedulings[name]; known {
		delete(u.schedulings, name)
		u.reschedule(name)
	}
}

// reschedule judges the nodes again for the daemons of a class, each node by the class of its target's template. A pass
// that is already under way is repeated (judged).
func (u Update) reschedule(class string) {
	for _, key := range inOrder(u.index.byRuntimeClass[class]) {
		known := u.daemons[key]
		if classOf(known.template) == class {
			known.rules = u.withClass(known.template, known.templateRules)
		}
		for _, of := range known.templates {
			if classOf(of.template) == class {
				of.rules = u.withClass(of.template, of.templateRules)
			}
		}
		known.judgedBy = nil
		if known.judging == nil && known.unserved == nil {
			u.resolveRevision(key, known, true)
		}
	}
}

// withClass adds the node requirements of a template's RuntimeClass to its rules.
func (u Update) withClass(template *daemon.Template, rules *daemon.Rules) *daemon.Rules {
	if class := classOf(template); class != "" {
		return rules.WithScheduling(&template.Pod, u.schedulings[class])
	}
	return rules
}

// classOf returns the RuntimeClass whose scheduling joins the rules of a template; empty if none does.
func classOf(template *daemon.Template) string {
	if !template.Kind.RuntimeClassJoins() {
		return ""
	}
	return daemon.RuntimeClassOf(&template.Pod)
}

// noteRuntimeClasses indexes a daemon by the classes that its templates name; a deleted daemon by none.
func (u Update) noteRuntimeClasses(key daemon.WorkloadKey, known *tracked) {
	for _, class := range known.runtimeClasses {
		drop(u.index.byRuntimeClass, class, key)
	}
	known.runtimeClasses = known.classes()
	for _, class := range known.runtimeClasses {
		put(u.index.byRuntimeClass, class, key, known)
	}
}

// classes returns those of the present template and of the templates of cells and pods.
func (t *tracked) classes() (classes []string) {
	if t.workload == nil {
		return nil
	}
	templates := []*daemon.Template{t.template}
	for _, of := range t.templates {
		templates = append(templates, of.template)
	}
	for _, template := range templates {
		if class := classOf(template); class != "" {
			classes = append(classes, class)
		}
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}
