package model

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/internal/daemon"
)

// The revision of a template is that of its record, if it has one: a ControllerRevision that this or another
// controller created, possibly by other rules than today's. Only a template that was never recorded gets its
// revision from its content. So nothing restarts when rules change, or when another controller takes over.
//
// A native template without a record waits for it, because kube-controller-manager would resolve a collision of
// hashes with another name. And while several records of one template are being merged, its pods do not all
// have the same revision yet, and nothing is planned.

// called returns the revision of a daemon's template, and whether it is resolved.
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

// recordable reports whether a record of a native template would be selected. One that is not is never created,
// and nothing waits for it: the daemon's pods would not be selected either, and creating one reports that.
func (u Update) recordable(known *workload) bool {
	template := *known.template
	template.Revision, template.Generation = known.id.Revision, ""
	return known.selector.Matches(labels.Set(template.PodLabels()))
}

// resolveRevision applies the present revision of a daemon's template, once its cells are counted by it: then
// all cells are planned, or those with work to do. While the revision is not resolved, the daemon's records are
// processed instead.
func (u Update) resolveRevision(key DaemonKey, known *workload, due bool) {
	revision, settled := u.called(known)
	known.revisionResolved = settled
	if !settled {
		u.enqueueHistory(key)
		return
	}
	if revision != known.template.Revision { // tasks keep the former one
		template := *known.template
		template.Revision = revision
		known.template = &template
	}
	spec := &known.object.Spec
	known.cells.Renew(daemon.RolloutState{Update: revision}, time.Duration(spec.MinReadySeconds)*time.Second, daemon.NewStrategy(&spec.UpdateStrategy))
	known.counting = &pass{key: key, known: known, count: true, plan: true, due: due}
	u.later(known.counting)
}

// misnamed processes a daemon's records when a changed or new pod has the revision of one of several records of
// its template: the pass that relabelled the others could not reach it, and nothing is planned before it is
// relabelled too.
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

// RecordsChanged processes a daemon whose records changed.
func (u Update) RecordsChanged(key DaemonKey) {
	known := u.daemons[key]
	if !u.begun || !known.active() || known.judging {
		return
	}
	if revision, settled := u.called(known); settled != known.revisionResolved || revision != known.template.Revision {
		u.resolveRevision(key, known, false)
	}
}
