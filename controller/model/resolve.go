package model

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/internal/daemon"
)

// The revision of a daemon's template comes from its record: a ControllerRevision that this or another controller
// created, perhaps by other rules than today's. So no pod restarts when the rules change or another controller takes over.
//
// No revision becomes a target before it has a record, and before the one that it replaces has one: it is always possible
// to roll back to what pods have, and to read it back after a restart. Until then cells keep their targets, and pods that
// die are recreated from these; a daemon without a target gets no pods, as in apps/v1. While several records of one
// template are being merged, its pods do not all have the same revision, and nothing is planned.

// resolution is the state of the revision of a daemon's template.
type resolution struct {
	revision string // empty while it is not known
	settled  bool   // it may be a target
	merging  bool   // pods of its other records are being relabelled

	// With a rollout.
	stable   string // the stable revision
	recorded int64  // the number by which its record says so; 0 if none does
	loading  bool   // its template is to be read back first
	closed   bool   // no node gets permission to be updated
	wave     int    // the index of the open wave
}

// resolve determines the revision of a daemon's template.
func (u Update) resolve(known *tracked) resolution {
	subject := known.subject()
	records := u.records.of(&subject)
	current, duplicates := daemon.CurrentRecord(records, subject.ID.Content)
	revision := known.template.Revision
	switch {
	case current != nil:
		revision = current.Revision
	case revision == "" && !recordable(known, known.template):
		revision = known.id.Revision
	}
	for i := range duplicates {
		if other := duplicates[i].Revision; other != revision && known.cells.Holds(other) {
			return resolution{revision: revision, merging: true}
		}
	}
	resolved := resolution{revision: revision, settled: u.begun && revision != "" && known.replaced(revision).Recorded(records)}
	if known.hold != nil && u.begun {
		resolved.stable, resolved.recorded = known.stableOf(revision, records)
		held := resolved.stable != "" && resolved.stable != revision
		resolved.loading = held && known.templates[resolved.stable] == nil
		resolved.closed = held && u.closure(known) != nil
		resolved.wave = known.hold.Open(known.markOf(known.rolledOut(&resolved), records))
	}
	return resolved
}

// stableOf returns the stable revision of a daemon with a rollout, and the number of its record. While no record has one, it is what
// pods have, which does not change any more once it is decided. A record that is deleted counts as long as its template is known.
func (t *tracked) stableOf(revision string, records []daemon.Record) (stable string, number int64) {
	known := t.templates[t.stable] != nil
	records = slices.DeleteFunc(slices.Clone(records), func(record daemon.Record) bool { return record.Revision == t.unreadable })
	record := daemon.StableRecord(records)
	switch {
	case known && (record == nil || record.Stable < t.recorded):
		return t.stable, t.recorded
	case record == nil:
		return cmp.Or(t.cells.Mostly(records, t.id.Content), revision), 0
	case record.Content == t.id.Content && revision != "":
		return revision, record.Stable
	}
	return record.Revision, record.Stable
}

// recordable reports whether the daemon's selector would select a record of a template. Otherwise none is created, and
// nothing waits for it: the daemon's pods would not be selected either, and creating one reports that.
func recordable(known *tracked, of *daemon.Template) bool {
	template := *of
	template.Revision, template.Generation = cmp.Or(template.Revision, known.id.Revision), ""
	return known.selector.Matches(labels.Set(template.PodLabels()))
}

// replaced returns the template that another revision replaces: the present target of cells. It is nil if there is none.
func (t *tracked) replaced(by string) *daemon.Replaced {
	former := t.templates[t.update]
	if former == nil || t.update == by || !recordable(t, former.template) {
		return nil
	}
	return &daemon.Replaced{Revision: t.update, Content: former.content, Name: daemon.RevisionName(t.workload.Name, t.update)}
}

// resolveRevision determines the targets that a daemon's cells may have, judges the nodes and counts the cells by them,
// and then plans the cells, or only those that are due. While the revision of its template is not settled, it enqueues
// the daemon's history.
func (u Update) resolveRevision(key daemon.WorkloadKey, known *tracked, due bool) {
	if u.decide(key, known) {
		judging := &judgeNodes{known: known}
		known.judging = judging
		u.later(&sequence{judging, once(func(u Update) { u.judged(key, known, judging, due) })})
		return
	}
	u.count(key, known, due)
}

// judged ends a pass over the nodes. It handles what was observed of records and RuntimeClasses in the meantime.
func (u Update) judged(key daemon.WorkloadKey, known *tracked, judging *judgeNodes, due bool) {
	if known.judging != judging {
		return // another pass is under way
	}
	known.judging = nil
	if known.workload == nil {
		return
	}
	if known.judgedBy == nil || u.resolve(known) != known.resolution {
		u.resolveRevision(key, known, due)
		return
	}
	u.count(key, known, due)
}

// count starts a pass that counts a daemon's cells and then plans them. If nothing can be planned, the sums are only
// needed by a status that reports why.
func (u Update) count(key daemon.WorkloadKey, known *tracked, due bool) {
	if known.merging || known.loading || !u.begun || known.update == "" && known.notRecorded == nil {
		return
	}
	known.counting = &pass{key: key, known: known, count: true, plan: known.update != "", due: due}
	u.later(known.counting)
}

// decide sets the targets that a daemon's cells may have, and reports whether its nodes have to be judged by other rules.
func (u Update) decide(key daemon.WorkloadKey, known *tracked) (judge bool) {
	known.resolution, known.proven = u.resolve(known), false
	u.enterWave(known)
	if !known.settled || known.hold != nil && known.recorded == 0 {
		u.enqueueHistory(key)
	}
	switch {
	case known.merging:
		return false
	case known.loading:
		u.later(&readStable{key: key, known: known, revision: known.stable})
		return false
	case known.settled:
		u.accept(key, known)
		known.renew(daemon.RolloutState{Update: known.update, Hold: known.holding(), Stable: known.stable, Wave: known.wave})
	case known.update != "" && known.hold != nil: // what is rolled out stays so until this template has a record
		revision := cmp.Or(known.template.Revision, known.id.Revision)
		known.renew(daemon.RolloutState{Update: revision, Recorded: known.update, Hold: known.holding(), Stable: known.stable, Wave: known.wave})
	default:
		if known.update == "" && u.begun && !known.readBack {
			known.readBack = true
			u.later(&readBack{key: key, known: known})
		}
		revision := cmp.Or(known.template.Revision, known.id.Revision)
		known.renew(daemon.RolloutState{Update: revision, Policy: daemon.AllOn(known.update)})
	}
	rules := known.rules
	if current := known.templates[known.update]; current != nil {
		rules = current.rules
	}
	judge = rules != known.judgedBy || len(known.templates) > 1
	known.judgedBy = rules
	return judge
}

// accept makes a daemon's template the update revision of its cells.
func (u Update) accept(key daemon.WorkloadKey, known *tracked) {
	if known.revision != known.template.Revision { // tasks share the former one
		template := *known.template
		template.Revision = known.revision
		known.template = &template
	}
	known.update, known.notRecorded = known.revision, nil
	u.keep(key, known, &rendered{known.template, known.id.Content, known.templateRules, known.rules})
	known.priority = u.priorities.of(known.template.Pod.Spec.PriorityClassName)
}

func (t *tracked) renew(state daemon.RolloutState) {
	t.cells.Renew(state, t.workload.MinReady, state.StrategyOf(t.workload.Strategy))
}

// misnamed enqueues a daemon's history if a new or changed pod has the revision of a duplicate record of its template: the
// pass that relabelled the others missed it, and nothing is planned before it is relabelled too.
func (u Update) misnamed(key daemon.WorkloadKey, known *tracked, revision string) {
	if !u.begun || !known.active() || known.settled || known.judging != nil {
		return
	}
	subject := known.subject()
	_, duplicates := u.records.recorded(&subject)
	if slices.ContainsFunc(duplicates, func(record daemon.Record) bool { return record.Revision == revision }) {
		u.enqueueHistory(key)
	}
}

// RecordsChanged resolves the revision of a daemon whose records changed.
func (u Update) RecordsChanged(key daemon.WorkloadKey) {
	known := u.daemons[key]
	if !u.begun || !known.active() || known.judging != nil {
		return
	}
	if u.resolve(known) != known.resolution {
		u.resolveRevision(key, known, false)
		return
	}
	u.noteObeyed(known)
}

// RecordAgain enqueues the histories of those daemons of a namespace whose template could not be recorded.
func (u Update) RecordAgain(namespace string) {
	for _, subject := range u.subjects(namespace, func(known *tracked) bool { return known.notRecorded != nil }) {
		u.enqueueHistory(subject.Workload.Key)
	}
}

// SetNotRecorded records why the record of a daemon's template, or of the one that it replaces, could not be stored.
func (u Update) SetNotRecorded(key daemon.WorkloadKey, problem daemon.Problem) {
	known := u.daemons[key]
	if known == nil || known.settled || known.notRecorded != nil && *known.notRecorded == problem {
		return
	}
	known.notRecorded = &problem
	u.Report(key)
	if known.update == "" && known.counted() {
		u.count(key, known, false)
	}
}
