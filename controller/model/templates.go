package model

import (
	"cmp"

	"github.com/everynode/everynode/internal/daemon"
)

// rendered is a template that may be a target, with the rules that nodes are judged by for it.
type rendered struct {
	template      *daemon.Template // read only
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
		if revision != known.update && !known.cells.Targets(revision) && !known.cells.Holds(revision) {
			delete(known.templates, revision)
		}
	}
	if len(known.templates) < before {
		u.noteRuntimeClasses(key, known)
	}
}

// rulesOf returns the rules that a node is judged by: those of its target's template.
func (t *tracked) rulesOf(node string) *daemon.Rules {
	if of := t.templates[t.cells.TargetOf(node)]; of != nil {
		return of.rules
	}
	return t.rules
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

// readBack restores the template that a daemon's cells had before this process began: the one that was recorded last,
// while the present one has no record. It is decoded while the model is not locked, because its author decides how large
// it is.
type readBack struct {
	key   daemon.WorkloadKey
	known *tracked

	identity *daemon.Template
	found    *Revision
	read     *rendered
}

func (r *readBack) Step(u Update) (more bool) {
	known := r.known
	if u.daemons[r.key] != known || !known.active() || known.settled || known.update != "" {
		return false
	}
	if r.identity == nil {
		r.identity, r.found = known.template, u.records.newest(known)
		return r.found != nil
	}
	if r.read == nil || !recordable(known, r.read.template) {
		return false
	}
	known.update = r.read.template.Revision
	r.read.rules = u.withClass(r.read.template, r.read.templateRules)
	u.keep(r.key, known, r.read)
	u.resolveRevision(r.key, known, false)
	return false
}

func (r *readBack) Compute() {
	template, err := daemon.TemplateFromRecord(r.identity, r.found.object())
	if err != nil {
		return // no pod could be created from it
	}
	r.read = &rendered{template: template, templateRules: daemon.NewRules(&template.Pod)}
}

// newest returns the last of a daemon's other records, nil if there is none.
func (r *records) newest(known *tracked) (newest *Revision) {
	subject := known.subject()
	for _, revision := range r.held[known.workload.Key] {
		record := subject.Record(revision)
		if record.Holder != daemon.Ours || record.Terminating || record.Content == subject.ID.Content {
			continue
		}
		if newest == nil || cmp.Or(cmp.Compare(newest.record.Number, record.Number), cmp.Compare(newest.record.Name, record.Name)) < 0 {
			newest = revision
		}
	}
	return newest
}
