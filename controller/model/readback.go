package model

import (
	"cmp"
	"slices"

	"github.com/everynode/everynode/internal/daemon"
)

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
	r.read = readFrom(r.identity, r.found)
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

// readStable restores the template of the stable revision from its record. Nothing is planned before: nodes that are held back get
// their pods from it. If it cannot be read, its record counts as none of a stable revision.
type readStable struct {
	key      daemon.WorkloadKey
	known    *tracked
	revision string

	identity *daemon.Template
	found    *Revision
	read     *rendered
}

func (r *readStable) Step(u Update) (more bool) {
	known := r.known
	if u.daemons[r.key] != known || !known.active() || !known.loading || known.stable != r.revision {
		return false
	}
	if r.identity == nil {
		r.identity, r.found = known.template, u.records.ofRevision(known, r.revision)
		return true
	}
	if r.read == nil || r.read.template.Revision != r.revision {
		known.unreadable = r.revision
	} else {
		r.read.rules = u.withClass(r.read.template, r.read.templateRules)
		u.keep(r.key, known, r.read)
	}
	u.resolveRevision(r.key, known, false)
	return false
}

func (r *readStable) Compute() {
	if r.found != nil {
		r.read = readFrom(r.identity, r.found)
	}
}

// ofRevision returns the last of a daemon's records of a revision, nil if there is none.
func (r *records) ofRevision(known *tracked, revision string) (last *Revision) {
	subject := known.subject()
	for _, of := range r.held[known.workload.Key] {
		record := subject.Record(of)
		if record.Holder != daemon.Ours || record.Terminating || record.Revision != revision {
			continue
		}
		if last == nil || cmp.Or(cmp.Compare(last.record.Number, record.Number), cmp.Compare(last.record.Name, record.Name)) < 0 {
			last = of
		}
	}
	return last
}

// mostHeld is how many templates are read back for the pods of a daemon. Who writes its pods' labels and its
// ControllerRevisions decides how many revisions they have; a rollout leaves a few.
const mostHeld = 10

// readHeld restores the templates of revisions that pods have and that were no target since this process began, each from
// its record. Like readBack it decodes them while the model is not locked.
type readHeld struct {
	key   daemon.WorkloadKey
	known *tracked

	identity *daemon.Template
	found    []*Revision
	begun    bool
	read     []*rendered
}

func (r *readHeld) Step(u Update) (more bool) {
	known := r.known
	if u.daemons[r.key] != known || !known.active() {
		return false
	}
	if !r.begun {
		r.begun = true
		return true
	}
	for _, of := range r.read {
		if revision := of.template.Revision; known.templates[revision] == nil && known.cells.Holds(revision) {
			of.rules = u.withClass(of.template, of.templateRules)
			u.keep(r.key, known, of)
		}
	}
	if len(r.read) > 0 { // whether a stale pod's node is blocked depends on its template
		u.later(&eachCell{key: r.key, known: known, f: func(u Update, nodes []string) bool {
			for _, node := range nodes {
				if cell := r.key.On(node); u.judgePlacement(cell, known) {
					u.changed(cell)
				}
			}
			return true
		}})
	}
	return false
}

func (r *readHeld) Compute() {
	for _, found := range r.found {
		if of := readFrom(r.identity, found); of != nil {
			r.read = append(r.read, of)
		}
	}
}

// readFrom decodes the template of a record; nil if no pod could be created from it.
func readFrom(identity *daemon.Template, record *Revision) *rendered {
	template, err := daemon.TemplateFromRecord(identity, record.object())
	if err != nil {
		return nil
	}
	return &rendered{template: template, content: record.contents.For(identity.Kind), templateRules: daemon.NewRules(&template.Pod)}
}

// readHeldBack reads back what pods have, if the template of any of these revisions is missing.
func (u Update) readHeldBack(key daemon.WorkloadKey, known *tracked) {
	if found := u.records.unread(known); len(found) > 0 {
		u.later(&readHeld{key: key, known: known, identity: known.template, found: found})
	}
}

// unread returns the records of revisions that pods have and whose templates are not known, the last ones first. Of several
// records of a revision it returns the last.
func (r *records) unread(known *tracked) (unread []*Revision) {
	subject := known.subject()
	for _, revision := range r.held[known.workload.Key] {
		record := subject.Record(revision)
		if record.Holder == daemon.Ours && !record.Terminating && known.templates[record.Revision] == nil && known.cells.Holds(record.Revision) {
			unread = append(unread, revision)
		}
	}
	slices.SortFunc(unread, func(a, b *Revision) int {
		return cmp.Or(cmp.Compare(b.record.Number, a.record.Number), cmp.Compare(b.record.Name, a.record.Name))
	})
	seen := map[string]bool{}
	unread = slices.DeleteFunc(unread, func(revision *Revision) bool {
		again := seen[revision.record.Revision]
		seen[revision.record.Revision] = true
		return again
	})
	return unread[:min(len(unread), max(0, mostHeld-len(known.templates)))]
}
