package model

import "github.com/everynode/everynode/internal/daemon"

// rendered is a template that may be a target, with the rules that nodes are judged by for it.
type rendered struct {
	template      *daemon.Template // read only
	content       string           // daemon.TemplateID.Content
	templateRules *daemon.Rules    // without those of its RuntimeClass
	rules         *daemon.Rules
}

// keep stores a template, once for each revision, until it is unused.
func (u Update) keep(key daemon.WorkloadKey, known *tracked, of *rendered) {
	if known.templates == nil {
		known.templates = map[string]*rendered{}
	}
	known.templates[of.template.Revision] = of
	u.noteRuntimeClasses(key, known)
}

// dropUnused removes the templates that are no cell's target and that no pod has.
func (u Update) dropUnused(key daemon.WorkloadKey, known *tracked) {
	before := len(known.templates)
	for revision := range known.templates {
		if revision != known.update && revision != known.stable && !known.cells.Targets(revision) && !known.cells.Holds(revision) {
			delete(known.templates, revision)
		}
	}
	if len(known.templates) < before {
		u.noteRuntimeClasses(key, known)
	}
}

// rulesOf returns the rules that a node is judged by: those of its target's template.
func (t *tracked) rulesOf(node string) *daemon.Rules { return t.rulesFor(t.cells.TargetOf(node)) }

// rulesFor returns the rules that nodes with a target are judged by.
func (t *tracked) rulesFor(target string) *daemon.Rules {
	if of := t.templates[target]; of != nil {
		return of.rules
	}
	return t.rules
}

// templateRulesOf returns the rules of a revision's template, without those of its RuntimeClass; nil if it is not known.
func (t *tracked) templateRulesOf(revision string) *daemon.Rules {
	if of := t.templates[revision]; of != nil {
		return of.templateRules
	}
	return nil
}

// templateOf returns the template of the pod that a plan creates, or of the one that follows the deleted pods; nil if it is
// not known.
func (t *tracked) templateOf(plan *daemon.Plan, node string) *daemon.Template {
	for i := range plan.Actions {
		if action := &plan.Actions[i]; action.Op == daemon.Create {
			if of := t.templates[action.Revision]; of != nil {
				return of.template
			}
			return nil
		}
	}
	return t.templateOn(node)
}

// templateOn returns the template of the next pod on a node.
func (t *tracked) templateOn(node string) *daemon.Template {
	if of := t.templates[t.cells.TargetOf(node)]; of != nil {
		return of.template
	}
	return t.template
}
