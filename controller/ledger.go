package controller

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
)

// teller tells of daemons in events. note tells of one pod, and together with others in one event.
type teller interface {
	events.EventRecorder
	note(regarding runtime.Object, eventType, reason, action string, of entry)
}

// How events are written: the first at once, then those of an interval together; and how long one that
// the API server does not answer is tried again.
const (
	ledgerInterval = time.Second
	ledgerRetries  = 10
	ledgerLimit    = 10_000 // entries that wait, of one page; thousands of nodes, and nothing is ever written
)

// ledger writes events. client-go's recorder makes one series of all that happens to a daemon in the same
// way, and keeps of it the first note and a number: of a burst all names but one are lost. This one tells
// of every pod by its name, and so that this stays cheap it tells of many in one event: what happens to
// a daemon is collected on a page for each reason, and a page is written at most once a second.
type ledger struct {
	client   client.Client
	now      func() time.Time
	instance string

	mu     sync.Mutex
	queue  func(page pageKey, after time.Duration) // nil before Start
	pages  map[pageKey]*page
	last   int64 // of the names of events, which are times
	closed bool
}

// pageKey is what the events of a page have in common. The reference has no resourceVersion: every status
// write would begin another page.
type pageKey struct {
	regarding                 corev1.ObjectReference
	eventType, reason, action string
}

type page struct {
	waiting  []entry
	next     time.Time // not written before
	failures int       // since a write was answered
	series   map[string]*series
}

var (
	_ teller                             = (*ledger)(nil)
	_ reconcile.TypedReconciler[pageKey] = (*ledger)(nil)
	_ manager.LeaderElectionRunnable     = (*ledger)(nil)
)

func newLedger(c client.Client, now func() time.Time, host string) *ledger {
	const instanceLimit = 128
	instance := recorderName + "-" + host
	return &ledger{client: c, now: now, instance: instance[:min(len(instance), instanceLimit)], pages: map[pageKey]*page{}}
}

// Eventf implements events.EventRecorder: it tells of what is not about one of many pods.
func (l *ledger) Eventf(regarding, related runtime.Object, eventType, reason, action, format string, args ...any) {
	l.add(pageKey{referenceTo(regarding), eventType, reason, action}, entry{related: referenceTo(related), one: fmt.Sprintf(format, args...)})
}

func (l *ledger) note(regarding runtime.Object, eventType, reason, action string, of entry) {
	l.add(pageKey{referenceTo(regarding), eventType, reason, action}, of)
}

// add puts an entry on its page, and has the page written when its time has come.
func (l *ledger) add(key pageKey, e entry) {
	l.mu.Lock()
	p := l.pages[key]
	if p == nil {
		p = &page{}
		l.pages[key] = p
	}
	if len(p.waiting) >= ledgerLimit { // the log has what was done
		p.waiting = slices.Delete(p.waiting, 0, ledgerLimit/2)
	}
	p.waiting = append(p.waiting, e)
	wait, queue, closed := p.next.Sub(l.now()), l.queue, l.closed
	l.mu.Unlock()
	switch {
	case closed:
		l.flush()
	case queue != nil:
		queue(key, wait)
	}
}

// Reconcile writes a page when it is time. An error means that the API server gave no answer.
func (l *ledger) Reconcile(ctx context.Context, key pageKey) (reconcile.Result, error) {
	entries, wait := l.due(key)
	if wait > 0 || len(entries) == 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if rest, err := l.write(ctx, key, entries); err != nil {
		return reconcile.Result{RequeueAfter: l.putBack(ctx, key, rest, err)}, nil
	}
	return reconcile.Result{RequeueAfter: ledgerInterval}, nil
}

// due takes what is to be written now, or is how long to wait. A page that is empty, and of which no series
// is remembered, is forgotten.
func (l *ledger) due(key pageKey) (entries []entry, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pages[key]
	if p == nil {
		return nil, 0
	}
	now := l.now()
	if wait := p.next.Sub(now); wait > 0 {
		return nil, wait
	}
	p.forgetSilent(now)
	if len(p.waiting) == 0 {
		if len(p.series) > 0 {
			return nil, seriesMemory
		}
		delete(l.pages, key)
		return nil, 0
	}
	entries, p.waiting, p.next = p.waiting, nil, now.Add(ledgerInterval)
	return entries, 0
}

// write writes entries, and gives those back that the API server gave no answer about. One that it refuses
// is not tried again: a namespace that is being deleted takes no events.
func (l *ledger) write(ctx context.Context, key pageKey, entries []entry) (rest []entry, err error) {
	notes := compose(l.countRepeated(ctx, key, entries))
	for i := range notes {
		event := l.event(key, &notes[i])
		err := l.client.Create(ctx, event)
		if err != nil && answers.NoAnswer(err) {
			for _, unwritten := range notes[i:] {
				rest = append(rest, unwritten.entries...)
			}
			return rest, err
		}
		if err != nil {
			log.FromContext(ctx).V(1).Info("the API server refused an event", "reason", key.reason, "note", event.Note, "error", err.Error())
			continue
		}
		l.remember(key, event, notes[i].entries)
	}
	l.settled(key)
	return nil, nil
}

// settled notes that a page was written.
func (l *ledger) settled(key pageKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pages[key]; p != nil {
		p.failures = 0
	}
}

// putBack keeps entries that were not written, and is how long to wait before they are tried again.
func (l *ledger) putBack(ctx context.Context, key pageKey, rest []entry, err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pages[key]
	if p.failures++; p.failures > ledgerRetries {
		log.FromContext(ctx).Error(err, "events are not written", "reason", key.reason, "about", key.regarding.Name, "entries", len(rest))
		p.failures = 0
		return ledgerInterval
	}
	p.waiting = append(rest, p.waiting...)
	wait := ledgerInterval << min(p.failures, 6)
	p.next = l.now().Add(wait)
	return wait
}

// event is a note as the API server stores it.
func (l *ledger) event(key pageKey, of *note) *eventsv1.Event {
	l.mu.Lock()
	now := l.now()
	l.last = max(l.last+1, now.UnixNano())
	name := util.GenerateEventName(key.regarding.Name, l.last)
	l.mu.Unlock()
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespaceOfEvents(key), Name: name},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: recorderName, ReportingInstance: l.instance,
		Type: key.eventType, Reason: key.reason, Action: key.action,
		Regarding: key.regarding, Note: of.text,
	}
	if related := of.entries[0].related; related != (corev1.ObjectReference{}) {
		event.Related = &related
	}
	return event
}

// namespaceOfEvents is that of what they are about; what has none has its events in "default".
func namespaceOfEvents(key pageKey) string {
	return cmp.Or(key.regarding.Namespace, metav1.NamespaceDefault)
}

// flush writes all pages now.
func (l *ledger) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	l.mu.Lock()
	due := map[pageKey][]entry{}
	for key, p := range l.pages {
		due[key], p.waiting = p.waiting, nil
	}
	l.mu.Unlock()
	for key, entries := range due {
		if _, err := l.write(ctx, key, entries); err != nil {
			return
		}
	}
}

// flushTimeout is how long the end of the program may take for events.
const flushTimeout = 5 * time.Second

// NeedLeaderElection has the ledger be there as long as those who write in it.
func (l *ledger) NeedLeaderElection() bool { return true }

// Start writes what is left when ctx ends; what comes later is written at once.
func (l *ledger) Start(ctx context.Context) error {
	<-ctx.Done()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.flush()
	return nil
}

// ledgerSource gives the ledger its queue.
type ledgerSource struct{ *ledger }

// Start implements source.TypedSource.
func (s ledgerSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[pageKey]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = queue.AddAfter
	for key := range s.pages {
		queue.Add(key)
	}
	return nil
}

func (ledgerSource) String() string { return "events" }

// setUpLedger adds the writing of events to a manager.
func setUpLedger(mgr manager.Manager) (*ledger, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	ledger := newLedger(mgr.GetClient(), time.Now, host)
	writer, err := controller.NewTyped("events", mgr, controller.TypedOptions[pageKey]{MaxConcurrentReconciles: 4, Reconciler: ledger})
	if err != nil {
		return nil, fmt.Errorf("setting up the controller of events: %w", err)
	}
	if err := writer.Watch(ledgerSource{ledger}); err != nil {
		return nil, fmt.Errorf("watching for events: %w", err)
	}
	if err := mgr.Add(ledger); err != nil {
		return nil, fmt.Errorf("adding the end of events: %w", err)
	}
	return ledger, nil
}

// referenceTo refers to an object, in whatever state it is.
func referenceTo(object runtime.Object) corev1.ObjectReference {
	switch object := object.(type) {
	case *v1alpha1.DaemonSet:
		version, kind := object.GVK().ToAPIVersionAndKind()
		return corev1.ObjectReference{APIVersion: version, Kind: kind, Namespace: object.Namespace, Name: object.Name, UID: object.UID}
	case *corev1.Namespace:
		return corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: object.Name, UID: object.UID}
	case *corev1.Pod:
		return podReference(object.Namespace, object.Name, object.UID)
	}
	return corev1.ObjectReference{}
}

func podReference(namespace, name string, uid types.UID) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: name, UID: uid}
}
