package controller

import (
	"bytes"
	"context"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// revisions is what is known of ControllerRevisions, everybody's: one that is not ours may have
// a name that we need. It is told what the informer sees and tells whose history may have
// changed. It is safe for concurrent use; the world may be locked when it is asked, and it never
// asks the world while it is locked itself.
type revisions struct {
	kinds Kinds
	world *world

	mu    sync.Mutex
	known map[string]map[string]*revision    // by namespace and name
	held  map[DaemonKey]map[string]*revision // the same by who controls them, and by name
	queue workqueue.TypedRateLimitingInterface[DaemonKey]
}

// revision is one ControllerRevision.
type revision struct {
	// record and native are what it is to a daemon of this project and to a native one, but for
	// its holder, which depends on who asks.
	record, native daemon.Record
	labels         labels.Set
	manyLabels     bool      // no selector is compared with so many
	data           []byte    // that the records' content comes from
	controller     types.UID // empty when it has none
	ours           bool      // the controller is a daemon of ours
}

func newRevisions(kinds Kinds, world *world) *revisions {
	return &revisions{kinds: kinds, world: world, known: map[string]map[string]*revision{}, held: map[DaemonKey]map[string]*revision{}}
}

func (k Kinds) observeRevision(object *appsv1.ControllerRevision) revision {
	observed := revision{
		record: daemon.ObserveRevision(object, false), native: daemon.ObserveRevision(object, true),
		labels: object.Labels, manyLabels: tooManyLabels(object.Labels), data: object.Data.Raw, ours: k.owns(object),
	}
	if controller := metav1.GetControllerOfNoCopy(object); controller != nil {
		observed.controller = controller.UID
	}
	return observed
}

// observeAgain is observeRevision of one that was seen before. What its data holds is not worked out
// again: it cannot change, and labels may change as often as somebody likes.
func (k Kinds) observeAgain(object *appsv1.ControllerRevision, former *revision) revision {
	if former == nil || former.record.UID != object.UID || !bytes.Equal(former.data, object.Data.Raw) {
		return k.observeRevision(object)
	}
	without := *object
	without.Data.Raw = nil
	observed := k.observeRevision(&without)
	observed.data = former.data
	observed.record.Content, observed.native.Content = former.record.Content, former.native.Content
	return observed
}

// look has a daemon's history looked at. Before begin nobody has to be woken: then everybody is.
func (r *revisions) look(key DaemonKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queue != nil {
		r.queue.Add(key)
	}
}

// begin has the history of every daemon looked at, now that every ControllerRevision was seen.
func (r *revisions) begin(queue workqueue.TypedRateLimitingInterface[DaemonKey]) {
	r.mu.Lock()
	r.queue = queue
	r.mu.Unlock()
	for _, object := range r.world.objects() {
		r.look(keyOf(object))
	}
}

func (r *revisions) seen(object *appsv1.ControllerRevision) {
	r.mu.Lock()
	former, had := r.known[object.Namespace][object.Name]
	r.mu.Unlock()
	now := r.kinds.observeAgain(object, former) // nobody else changes it
	r.mu.Lock()
	if had {
		drop(r.held, DaemonKey{object.Namespace, former.controller}, object.Name)
	}
	put(r.known, object.Namespace, object.Name, &now)
	put(r.held, DaemonKey{object.Namespace, now.controller}, object.Name, &now)
	r.mu.Unlock()
	if had && former.controller != now.controller {
		r.wake(object.Namespace, former)
	}
	if !had && r.spare(object.Namespace, &now) {
		r.wakeOthers(object.Namespace, &now)
		return
	}
	r.wake(object.Namespace, &now)
}

// spare says whether a record that came is a further one of its daemon's present template. It changes
// nothing for any pod, and whoever made it may not be done: Kubernetes' own suite (test/e2e/apps
// controller_revision.go) makes one, looks for two, and deletes the other. So it is made one with the
// other when the daemon is next looked at, as in apps/v1, whose controller records do not wake.
func (r *revisions) spare(namespace string, added *revision) bool {
	if !added.ours {
		return false
	}
	subject, ok := r.world.subject(DaemonKey{namespace, added.controller})
	if !ok || !subject.revisionResolved {
		return false
	}
	current, duplicates := r.recorded(&subject)
	return slices.ContainsFunc(duplicates, func(record daemon.Record) bool { return record.Name == added.record.Name }) ||
		len(duplicates) > 0 && current.Name == added.record.Name
}

// gone forgets a ControllerRevision, as it was when it was last seen.
func (r *revisions) gone(namespace, name string) {
	r.mu.Lock()
	former, had := r.known[namespace][name]
	if had {
		drop(r.known, namespace, name)
		drop(r.held, DaemonKey{namespace, former.controller}, name)
	}
	r.mu.Unlock()
	if had {
		r.wake(namespace, former)
	}
}

// wake has those daemons looked at that a ControllerRevision concerns: the one that controls it;
// those that may adopt it or need its name otherwise.
func (r *revisions) wake(namespace string, changed *revision) {
	if changed.ours {
		r.tell(DaemonKey{namespace, changed.controller})
	}
	r.wakeOthers(namespace, changed)
}

// wakeOthers has those daemons looked at that a ControllerRevision concerns and that do not control it.
func (r *revisions) wakeOthers(namespace string, changed *revision) {
	if !r.world.hasBegun() {
		return // then everybody is
	}
	needs := func(known *workload) bool { // one that is controlled is nobody's to adopt
		return changed.controller == "" || known.id.Record == changed.record.Name
	}
	for _, subject := range r.world.subjects(namespace, needs) {
		if subject.object.UID != changed.controller && (changed.record.Name == subject.id.Record || subject.mayAdopt(changed)) {
			r.tell(keyOf(subject.object))
		}
	}
}

// tell has a daemon looked at whose records changed: what its template is called, and its history.
func (r *revisions) tell(key DaemonKey) {
	r.world.recordsChanged(key)
	r.look(key)
}

// of are a daemon's records: those that it controls or may adopt, and whoever's has the name that
// its template's record would get.
func (r *revisions) of(subject *subject) []daemon.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var records []daemon.Record
	namespace := subject.object.Namespace
	for _, controller := range []types.UID{subject.object.UID, ""} {
		for _, revision := range r.held[DaemonKey{namespace, controller}] {
			if record := subject.record(revision); record.Holder != daemon.Somebody || record.Name == subject.id.Record {
				records = append(records, record)
			}
		}
	}
	if revision, taken := r.known[namespace][subject.id.Record]; taken && revision.controller != subject.object.UID && revision.controller != "" {
		records = append(records, subject.record(revision))
	}
	return records
}

// recorded finds the record of a daemon's template.
func (r *revisions) recorded(subject *subject) (current *daemon.Record, duplicates []daemon.Record) {
	return daemon.CurrentRecord(r.of(subject), subject.id.Content)
}

// subject is a daemon whose history is looked at; all of it is read only.
type subject struct {
	object           *v1alpha1.DaemonSet
	template         *daemon.Template // called nothing while that is not settled
	id               daemon.TemplateID
	revisionResolved bool // what the template is called
	selector         labels.Selector
}

func (w *workload) subject() subject {
	return subject{w.object, w.template, w.id, w.revisionResolved, w.selector}
}

// mayAdopt says whether a ControllerRevision is an orphan of the daemon's: nobody controls it,
// it carries the daemon's labels, and a template is in it.
func (s *subject) mayAdopt(revision *revision) bool {
	return revision.controller == "" && !revision.record.Terminating && revision.record.Content != "" && s.selects(revision)
}

func (s *subject) selects(revision *revision) bool {
	if revision.manyLabels { // its own are taken for selected, or it would release what it makes
		return revision.controller == s.object.UID
	}
	return matches(s.selector, revision.labels)
}

// matches reports whether the daemon selects what has these labels.
func (s *subject) matches(set map[string]string) bool {
	return matches(s.selector, labels.Set(set))
}

// record is a ControllerRevision as this daemon sees it.
func (s *subject) record(revision *revision) daemon.Record {
	record := revision.record
	if s.object.Native() {
		record = revision.native
	}
	switch {
	case revision.controller == s.object.UID && s.selects(revision):
		record.Holder = daemon.Ours
	case revision.controller == s.object.UID:
		record.Holder = daemon.Stray
	case s.mayAdopt(revision):
		record.Holder = daemon.Nobody
	default:
		record.Holder = daemon.Somebody
	}
	return record
}

// subject is a daemon that is there.
func (w *world) subject(key DaemonKey) (subject, bool) {
	w.mu.Lock()
	defer w.unlock()
	known := w.daemons[key]
	if !known.active() {
		return subject{}, false
	}
	return known.subject(), true
}

// subjects are those daemons of a namespace that are there and that are wanted.
func (w *world) subjects(namespace string, wanted func(*workload) bool) []subject {
	w.mu.Lock()
	defer w.unlock()
	var subjects []subject
	for _, known := range w.index.byNamespace[namespace] {
		if known.active() && wanted(known) {
			subjects = append(subjects, known.subject())
		}
	}
	return subjects
}

// holds says whether a daemon has a pod of a revision.
func (w *world) holds(key DaemonKey, revision string) bool {
	w.mu.Lock()
	defer w.unlock()
	known, ok := w.daemons[key]
	return ok && known.cells.Holds(revision)
}

// podsOf are the pods of a revision that a daemon has.
func (w *world) podsOf(key DaemonKey, revision string) []*seenPod {
	w.mu.Lock()
	known := w.daemons[key]
	w.unlock()
	var pods []*seenPod
	if known != nil {
		w.eachPod(key, known, func(pod *seenPod) {
			if pod.observed.Revision == revision {
				pods = append(pods, pod)
			}
		})
	}
	return pods
}

func (r *revisions) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { r.seen(object.(*appsv1.ControllerRevision)) },
		UpdateFunc: func(_, object any) { r.seen(object.(*appsv1.ControllerRevision)) },
		DeleteFunc: func(object any) {
			gone := last[*appsv1.ControllerRevision](object)
			r.gone(gone.Namespace, gone.Name)
		},
	}
}

// trimRevision keeps of somebody else's ControllerRevision who has its name; templates are large.
func (k Kinds) trimRevision(object any) (any, error) {
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
	if metav1.GetControllerOfNoCopy(revision) == nil || k.owns(revision) {
		trimmed.Labels, trimmed.Data = revision.Labels, revision.Data
	}
	return trimmed, nil
}

// historySource is the source of daemons whose history to look at. The observer tells revisions
// what there is.
type historySource struct {
	*revisions
	synced <-chan struct{} // closed when everything there is was seen
}

// Start implements source.TypedSource.
func (s historySource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[DaemonKey]) error {
	go func() {
		select {
		case <-s.synced:
			s.begin(queue)
		case <-ctx.Done():
		}
	}()
	return nil
}

func (historySource) String() string { return "ControllerRevisions" }
