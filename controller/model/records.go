package model

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// records are all ControllerRevisions: one of another owner may have a name that we need.
type records struct {
	known map[string]map[string]*Revision             // by namespace and name
	held  map[daemon.WorkloadKey]map[string]*Revision // the same by controller and name
}

func newRecords() records {
	return records{known: map[string]map[string]*Revision{}, held: map[daemon.WorkloadKey]map[string]*Revision{}}
}

// Revision is one ControllerRevision.
type Revision struct {
	record     daemon.Record   // without the holder and the content, which depend on the daemon
	contents   daemon.Contents // of data
	labels     labels.Set
	manyLabels bool // too many to compare with a selector
	data       []byte
	generation string    // the annotation of the template's generation, which apps/v1 has
	controller types.UID // empty when it has none
	ours       bool      // the controller is a daemon of ours
}

// object is as much of the ControllerRevision as its template is read back from.
func (r *Revision) object() *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.record.Name, Labels: r.labels,
			Annotations: map[string]string{appsv1.DeprecatedTemplateGeneration: r.generation},
		},
		Data: runtime.RawExtension{Raw: r.data},
	}
}

func (k Kinds) ObserveRevision(object *appsv1.ControllerRevision) Revision {
	return k.observeWith(object, daemon.ContentsOf(object.Data.Raw))
}

func (k Kinds) observeWith(object *appsv1.ControllerRevision, contents daemon.Contents) Revision {
	observed := Revision{
		record: daemon.ObserveRevision(object), contents: contents,
		labels: object.Labels, manyLabels: tooManyLabels(object.Labels), data: object.Data.Raw, ours: k.Owns(object),
		generation: object.Annotations[appsv1.DeprecatedTemplateGeneration],
	}
	if controller := metav1.GetControllerOfNoCopy(object); controller != nil {
		observed.controller = controller.UID
	}
	return observed
}

// observeAgain is ObserveRevision for one that was seen before. Its data is not decoded again: it cannot
// change, while labels may change any number of times.
func (k Kinds) observeAgain(object *appsv1.ControllerRevision, former *Revision) Revision {
	if former == nil || former.record.UID != object.UID || !bytes.Equal(former.data, object.Data.Raw) {
		return k.ObserveRevision(object)
	}
	observed := k.observeWith(object, former.contents)
	observed.data = former.data // which the caches share
	return observed
}

// SeeRevision applies the present state of a ControllerRevision. Its data may come from any writer, so it is
// decoded while the model is not locked.
type SeeRevision struct {
	Object *appsv1.ControllerRevision
	kinds  Kinds

	looked bool
	former *Revision // only this work changes it
	now    *Revision
}

func (r *SeeRevision) Step(u Update) (more bool) {
	if !r.looked {
		r.looked, r.kinds, r.former = true, u.kinds, u.records.known[r.Object.Namespace][r.Object.Name]
		return true
	}
	namespace := r.Object.Namespace
	u.records.put(namespace, r.former, r.now)
	if r.former != nil && r.former.controller != r.now.controller {
		u.revisionChanged(namespace, r.former)
	}
	if r.former == nil && u.spare(namespace, r.now) {
		u.later(&wakeOthers{namespace: namespace, changed: r.now})
		return false
	}
	u.revisionChanged(namespace, r.now)
	return false
}

func (r *SeeRevision) Compute() {
	now := r.kinds.observeAgain(r.Object, r.former)
	r.now = &now
}

func (r *records) put(namespace string, former, now *Revision) {
	if former != nil {
		drop(r.held, daemon.WorkloadKey{Namespace: namespace, UID: former.controller}, former.record.Name)
	}
	put(r.known, namespace, now.record.Name, now)
	put(r.held, daemon.WorkloadKey{Namespace: namespace, UID: now.controller}, now.record.Name, now)
}

// spare reports whether a new record is an additional one of its daemon's present template. It changes nothing
// for any pod, and its creator may not have finished: Kubernetes' own suite (test/e2e/apps
// controller_revision.go) creates one, expects two, and deletes the other. So the two are merged when the
// daemon is next processed, as in apps/v1, where records do not wake the controller.
func (u Update) spare(namespace string, added *Revision) bool {
	if !added.ours {
		return false
	}
	subject, ok := u.Subject(daemon.WorkloadKey{Namespace: namespace, UID: added.controller})
	if !ok || !subject.settled {
		return false
	}
	current, duplicates := u.records.recorded(&subject)
	return slices.ContainsFunc(duplicates, func(record daemon.Record) bool { return record.Name == added.record.Name }) ||
		len(duplicates) > 0 && current.Name == added.record.Name
}

// ForgetRevision removes a ControllerRevision, given its last state.
func (u Update) ForgetRevision(namespace, name string) {
	former, had := u.records.known[namespace][name]
	if !had {
		return
	}
	drop(u.records.known, namespace, name)
	drop(u.records.held, daemon.WorkloadKey{Namespace: namespace, UID: former.controller}, name)
	u.revisionChanged(namespace, former)
}

// revisionChanged wakes the daemons that a ControllerRevision concerns: its controller, or those that may adopt
// it or need its name.
func (u Update) revisionChanged(namespace string, changed *Revision) {
	if changed.ours {
		key := daemon.WorkloadKey{Namespace: namespace, UID: changed.controller}
		u.recordsAndHistory(key)
		if known := u.daemons[key]; known.keptUp() && known.templates[changed.record.Revision] == nil && known.cells.Holds(changed.record.Revision) {
			u.readHeldBack(key, known)
		}
	}
	u.later(&wakeOthers{namespace: namespace, changed: changed})
}

// wakeOthers wakes the daemons that a ControllerRevision concerns and that do not control it. The comparison
// runs while the model is not locked.
type wakeOthers struct {
	namespace string
	changed   *Revision

	found    bool
	subjects []Subject
}

func (w *wakeOthers) Step(u Update) (more bool) {
	if !w.found {
		w.found = true
		if u.begun { // before that, all are processed later
			w.subjects = u.subjects(w.namespace, w.needs)
		}
		return len(w.subjects) > 0
	}
	some := w.subjects[:min(Batch, len(w.subjects))]
	w.subjects = w.subjects[len(some):]
	for i := range some {
		u.recordsAndHistory(some[i].Workload.Key)
	}
	return len(w.subjects) > 0
}

// needs reports whether a daemon may need the record: one with a controller cannot be adopted.
func (w *wakeOthers) needs(known *tracked) bool {
	return w.changed.controller == "" || known.id.Record == w.changed.record.Name
}

func (w *wakeOthers) Compute() {
	w.subjects = slices.DeleteFunc(w.subjects, func(subject Subject) bool {
		return subject.Workload.Key.UID == w.changed.controller ||
			w.changed.record.Name != subject.ID.Record && !subject.mayAdopt(w.changed)
	})
}

// recordsAndHistory processes a daemon whose records changed: the revision of its template, and its history.
func (u Update) recordsAndHistory(key daemon.WorkloadKey) {
	u.RecordsChanged(key)
	u.enqueueHistory(key)
}

// of returns a daemon's records, sorted by name: those that it controls or may adopt, and any that has the name of a new
// record.
func (r *records) of(subject *Subject) []daemon.Record {
	var records []daemon.Record
	names := []string{subject.ID.Record}
	if replaced := subject.ToRecord(); replaced != nil && replaced.Name != subject.ID.Record {
		names = append(names, replaced.Name)
	}
	namespace := subject.Workload.Key.Namespace
	for _, controller := range []types.UID{subject.Workload.Key.UID, ""} {
		for _, revision := range r.held[daemon.WorkloadKey{Namespace: namespace, UID: controller}] {
			if record := subject.Record(revision); record.Holder != daemon.Foreign || slices.Contains(names, record.Name) {
				records = append(records, record)
			}
		}
	}
	for _, name := range names {
		if revision, taken := r.known[namespace][name]; taken && revision.controller != subject.Workload.Key.UID && revision.controller != "" {
			records = append(records, subject.Record(revision))
		}
	}
	slices.SortFunc(records, func(a, b daemon.Record) int { return cmp.Compare(a.Name, b.Name) })
	return records
}

// Records returns a daemon's records, by name.
func (u Update) Records(subject *Subject) []daemon.Record { return u.records.of(subject) }

// recorded returns the record of a daemon's template, and its duplicates.
func (r *records) recorded(subject *Subject) (current *daemon.Record, duplicates []daemon.Record) {
	return daemon.CurrentRecord(r.of(subject), subject.ID.Content)
}

// Subject is a daemon whose history is processed; all of it is read-only.
type Subject struct {
	Workload *daemon.Workload
	Template *daemon.Template // its revision is empty while that is not resolved
	ID       daemon.TemplateID
	// Replaced is the template that cells have until this one is settled; nil if there is none.
	Replaced        *daemon.Template
	replacedContent string // daemon.TemplateID.Content
	settled         bool   // the template's revision is known, and may be a target
	// Met is a record that the API server has shown and the watch may not show yet.
	Met daemon.Record
	// Stable is a revision that has become stable and is to be recorded as such; empty if there is none.
	Stable string
	// Notes are what the records of revisions are to have besides that; nil without a rollout.
	Notes []daemon.Note
	// WakeAt is when that changes without an event; zero if it does not.
	WakeAt   time.Time
	selector labels.Selector
}

// ToRecord returns the template that is replaced, as history uses it; nil if there is none.
func (s *Subject) ToRecord() *daemon.Replaced {
	if s.Replaced == nil {
		return nil
	}
	return &daemon.Replaced{Revision: s.Replaced.Revision, Content: s.replacedContent, Name: daemon.RevisionName(s.Workload.Name, s.Replaced.Revision)}
}

// Settled reports whether the template has a record, and may be a target.
func (s *Subject) Settled() bool { return s.settled }

func (t *tracked) subject() Subject {
	subject := Subject{Workload: t.workload, Template: t.template, ID: t.id, settled: t.settled, selector: t.selector, Met: t.met}
	subject.Notes, subject.WakeAt = t.notes(), t.soaksUntil()
	if former := t.templates[t.update]; former != nil && !t.settled && recordable(t, former.template) {
		subject.Replaced, subject.replacedContent = former.template, former.content
	}
	switch {
	case t.hold == nil || !t.settled || t.loading:
	case t.recorded == 0:
		subject.Stable = t.stable
	case t.keptUp() && t.cells.Proven():
		subject.Stable = t.update
	}
	return subject
}

// mayAdopt reports whether a ControllerRevision is an orphan of the daemon's: it has no controller, carries the
// daemon's labels, and contains a template.
func (s *Subject) mayAdopt(revision *Revision) bool {
	return revision.controller == "" && !revision.record.Terminating && revision.contents.Readable() && s.selects(revision)
}

func (s *Subject) selects(revision *Revision) bool {
	if revision.manyLabels { // its own count as selected, or it would release what it creates
		return revision.controller == s.Workload.Key.UID
	}
	return matches(s.selector, revision.labels)
}

// Matches reports whether the daemon selects these labels.
func (s *Subject) Matches(set map[string]string) bool {
	return matches(s.selector, labels.Set(set))
}

// Record returns a ControllerRevision as seen by this daemon.
func (s *Subject) Record(revision *Revision) daemon.Record {
	record := revision.record
	record.Content = revision.contents.For(s.Workload.Kind)
	switch {
	case revision.controller == s.Workload.Key.UID && s.selects(revision):
		record.Holder = daemon.Ours
	case revision.controller == s.Workload.Key.UID:
		record.Holder = daemon.Stray
	case s.mayAdopt(revision):
		record.Holder = daemon.Unowned
	default:
		record.Holder = daemon.Foreign
	}
	return record
}

// Subject returns an existing daemon.
func (u Update) Subject(key daemon.WorkloadKey) (Subject, bool) {
	known := u.daemons[key]
	if !known.active() {
		return Subject{}, false
	}
	u.holdWaveNow(key, known)
	return known.subject(), true
}

// subjects returns the existing daemons of a namespace that satisfy a condition, in the order of their keys.
func (u Update) subjects(namespace string, wanted func(*tracked) bool) []Subject {
	var subjects []Subject
	for _, key := range inOrder(u.index.byNamespace[namespace]) {
		if known := u.daemons[key]; known.active() && wanted(known) {
			subjects = append(subjects, known.subject())
		}
	}
	return subjects
}

// ReportSelected reports the daemons of a namespace whose pods a selector selects.
func (u Update) ReportSelected(namespace string, selector labels.Selector) {
	selected := func(known *tracked) bool { return selector.Matches(labels.Set(known.workload.Template.Labels)) }
	for _, subject := range u.subjects(namespace, selected) {
		u.Report(subject.Workload.Key)
	}
}

// MetRecord notes a daemon's record that the API server has shown: the next one gets a higher number, also if the watch is late.
func (u Update) MetRecord(key daemon.WorkloadKey, record *daemon.Record) {
	if known := u.daemons[key]; known != nil {
		known.met = daemon.Record{Name: record.Name, Number: record.Number}
	}
}

// InUse reports whether a revision is a target of a daemon's, or one of its pods has it.
func (u Update) InUse(key daemon.WorkloadKey, revision string) bool {
	known, ok := u.daemons[key]
	return ok && (known.cells.Targets(revision) || known.cells.Holds(revision) ||
		known.hold != nil && (revision == known.stable || known.workload != nil && known.workload.Names(revision)))
}

// PodsOf collects the pods of a revision of a daemon.
func (u Update) PodsOf(key daemon.WorkloadKey, revision string, pods *[]*Pod) {
	if known := u.daemons[key]; known != nil {
		u.later(eachPod(key, known, func(_ Update, pod *Pod) {
			if pod.Revision == revision {
				*pods = append(*pods, pod)
			}
		}))
	}
}

// TrimRevision keeps only the name of another owner's ControllerRevision, because templates are large.
func (k Kinds) TrimRevision(object any) (any, error) {
	revision, ok := object.(*appsv1.ControllerRevision)
	if !ok {
		return object, nil
	}
	trimmed := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: revision.Namespace, Name: revision.Name, UID: revision.UID, ResourceVersion: revision.ResourceVersion,
			OwnerReferences: revision.OwnerReferences, DeletionTimestamp: revision.DeletionTimestamp,
		},
		Revision: revision.Revision,
	}
	if metav1.GetControllerOfNoCopy(revision) == nil || k.Owns(revision) {
		trimmed.Labels, trimmed.Data = revision.Labels, revision.Data
		for _, key := range append(daemon.RecordAnnotations(), appsv1.DeprecatedTemplateGeneration) {
			if value, given := revision.Annotations[key]; given {
				metav1.SetMetaDataAnnotation(&trimmed.ObjectMeta, key, value)
			}
		}
	}
	return trimmed, nil
}
