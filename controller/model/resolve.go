package model

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/internal/daemon"
)

// What a template is called is in its record, when it has one: a ControllerRevision that this or
// another controller made, maybe by other rules than today's. Only what was never recorded is
// called by its content. So nothing restarts when rules change, or when controllers change hands.
//
// A native template that has no record yet waits for it, for kube-controller-manager would settle
// a collision of hashes by another name. And while several records of the one template are being
// made one, its pods are not yet all called the same, and nothing is planned.

// called is what a daemon's template is called, and whether that is settled.
func (u Update) called(known *workload) (revision string, settled bool) {
	revision = known.template.Revision
	subject := known.subject()
	current, duplicates := u.records.recorded(&subject)
	switch {
	case current != nil:
		revision = current.Revision
	case revision == "" && (!known.object.Native() || !u.recordable(known)):
		revision = known.id.Revision
	}
	for i := range duplicates {
		if other := duplicates[i].Revision; other != revision && known.cells.Holds(other) {
			return revision, false
		}
	}
	return revision, u.begun && revision != ""
}

// recordable reports whether a record of a native template would be selected. One that is not is never made, and nothing
// waits for it: the daemon's pods would not be selected either, and to ask for one says so.
func (u Update) recordable(known *workload) bool {
	template := *known.template
	template.Revision, template.Generation = known.id.Revision, ""
	return known.selector.Matches(labels.Set(template.PodLabels()))
}

// resolveRevision has a daemon kept up as its template is called now, once its cells are counted by it: then they
// are planned, or those that there is something to do about. While it is not settled what it is called, its
// records are looked at instead.
func (u Update) resolveRevision(key DaemonKey, known *workload, due bool) {
	revision, settled := u.called(known)
	known.revisionResolved = settled
	if !settled {
		u.enqueueHistory(key)
		return
	}
	if revision != known.template.Revision { // tasks hold on to the one that was
		template := *known.template
		template.Revision = revision
		known.template = &template
	}
	spec := &known.object.Spec
	known.cells.Renew(daemon.RolloutState{Update: revision}, time.Duration(spec.MinReadySeconds)*time.Second, daemon.NewStrategy(&spec.UpdateStrategy))
	known.counting = &pass{key: key, known: known, count: true, plan: true, due: due}
	u.later(known.counting)
}

// misnamed has a daemon's records looked at when a pod that changed or is new is called by one of
// several records of its template: the pass that gave the others their name could not reach it, and
// nothing is planned before it has it too.
func (u Update) misnamed(key DaemonKey, known *workload, revision string) {
	if !u.begun || !known.active() || known.revisionResolved || known.judging {
		return
	}
	subject := known.subject()
	_, duplicates := u.records.recorded(&subject)
	if slices.ContainsFunc(duplicates, func(record daemon.Record) bool { return record.Revision == revision }) {
		u.enqueueHistory(key)
	}
}

// RecordsChanged looks at a daemon whose records changed.
func (u Update) RecordsChanged(key DaemonKey) {
	known := u.daemons[key]
	if !u.begun || !known.active() || known.judging {
		return
	}
	if revision, settled := u.called(known); settled != known.revisionResolved || revision != known.template.Revision {
		u.resolveRevision(key, known, false)
	}
}
