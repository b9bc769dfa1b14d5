package notify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/controller/answers"
)

// Recorder writes events about daemons. Note is for an entry that may share an event with others.
type Recorder interface {
	events.EventRecorder
	Note(regarding runtime.Object, eventType, reason, action string, of Entry)
}

// Timing: the first entry is written at once, then those of an interval together; and the back-off while the
// API server does not answer.
const (
	ledgerInterval = time.Second
	ledgerRetries  = 10
	ledgerLimit    = 10_000 // waiting entries of one page, for the case that events about thousands of nodes cannot be written
)

// Ledger writes events. client-go's recorder merges all similar events of a daemon into one series, and keeps
// its first note and a number: all but one name of a burst are lost. This one names every pod, and stays cheap
// by naming many in one event: entries about a daemon are collected on a page for each reason, and a page is
// written at most once a second.
type Ledger struct {
	client   client.Client
	now      func() time.Time
	instance string

	mu     sync.Mutex
	queue  func(page PageKey, after time.Duration) // nil before Attach
	pages  map[PageKey]*page
	last   int64 // of the names of events, which are times
	closed bool
}

// PageKey is the common part of the events of a page. The reference has no resourceVersion, because every
// status write would begin another page.
type PageKey struct {
	regarding                 corev1.ObjectReference
	eventType, reason, action string
}

type page struct {
	waiting  []Entry
	next     time.Time // not written before
	failures int       // since a write was answered
	series   map[string]*series
}

var (
	_ Recorder                           = (*Ledger)(nil)
	_ reconcile.TypedReconciler[PageKey] = (*Ledger)(nil)
)

// ReportingController is the reporting controller of every event.
const ReportingController = "everynode-controller"

// New creates a ledger; host is the host name of the program.
func New(c client.Client, now func() time.Time, host string) *Ledger {
	const instanceLimit = 128
	instance := ReportingController + "-" + host
	return &Ledger{client: c, now: now, instance: instance[:min(len(instance), instanceLimit)], pages: map[PageKey]*page{}}
}

// Eventf implements events.EventRecorder, for events that do not concern one of many pods.
func (l *Ledger) Eventf(regarding, related runtime.Object, eventType, reason, action, format string, args ...any) {
	l.add(PageKey{Reference(regarding), eventType, reason, action}, Entry{Related: Reference(related), One: fmt.Sprintf(format, args...)})
}

// Note implements Recorder.
func (l *Ledger) Note(regarding runtime.Object, eventType, reason, action string, of Entry) {
	l.add(PageKey{Reference(regarding), eventType, reason, action}, of)
}

// add puts an entry on its page, and schedules the page.
func (l *Ledger) add(key PageKey, e Entry) {
	l.mu.Lock()
	p := l.pages[key]
	if p == nil {
		p = &page{}
		l.pages[key] = p
	}
	if len(p.waiting) >= ledgerLimit { // the log contains the operation
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

// Reconcile writes a page when it is due. An error means that the API server gave no answer.
func (l *Ledger) Reconcile(ctx context.Context, key PageKey) (reconcile.Result, error) {
	entries, wait := l.due(key)
	if wait > 0 || len(entries) == 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if rest, err := l.write(ctx, key, entries); err != nil {
		return reconcile.Result{RequeueAfter: l.putBack(ctx, key, rest, err)}, nil
	}
	return reconcile.Result{RequeueAfter: ledgerInterval}, nil
}

// due returns the entries to write now, or how long to wait. An empty page without series is forgotten.
func (l *Ledger) due(key PageKey) (entries []Entry, wait time.Duration) {
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

// write writes entries, and returns those without an answer from the API server. A refused one is not retried:
// a namespace that is being deleted accepts no events.
func (l *Ledger) write(ctx context.Context, key PageKey, entries []Entry) (rest []Entry, err error) {
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

// settled records that a page was written.
func (l *Ledger) settled(key PageKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pages[key]; p != nil {
		p.failures = 0
	}
}

// putBack keeps entries that were not written, and returns how long to wait before the retry.
func (l *Ledger) putBack(ctx context.Context, key PageKey, rest []Entry, err error) time.Duration {
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

// event converts a note for the API server.
func (l *Ledger) event(key PageKey, of *note) *eventsv1.Event {
	l.mu.Lock()
	now := l.now()
	l.last = max(l.last+1, now.UnixNano())
	name := util.GenerateEventName(key.regarding.Name, l.last)
	l.mu.Unlock()
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespaceOfEvents(key), Name: name},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: ReportingController, ReportingInstance: l.instance,
		Type: key.eventType, Reason: key.reason, Action: key.action,
		Regarding: key.regarding, Note: of.text,
	}
	if related := of.entries[0].Related; related != (corev1.ObjectReference{}) {
		event.Related = &related
	}
	return event
}

// namespaceOfEvents is that of the events' object; cluster-scoped objects have their events in "default".
func namespaceOfEvents(key PageKey) string {
	return cmp.Or(key.regarding.Namespace, metav1.NamespaceDefault)
}

// flush writes all pages now.
func (l *Ledger) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	l.mu.Lock()
	keys := l.sorted()
	due := make([][]Entry, len(keys))
	for i, key := range keys {
		due[i], l.pages[key].waiting = l.pages[key].waiting, nil
	}
	l.mu.Unlock()
	for i, key := range keys {
		if _, err := l.write(ctx, key, due[i]); err != nil {
			return
		}
	}
}

// flushTimeout bounds the writing of events at the end of the program.
const flushTimeout = 5 * time.Second

// Close writes the remaining entries; later ones are written at once.
func (l *Ledger) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.flush()
}

// Attach makes queue return pages to Reconcile, including those that have entries already.
func (l *Ledger) Attach(queue func(page PageKey, after time.Duration)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = queue
	for _, key := range l.sorted() {
		queue(key, 0)
	}
}

// sorted returns the keys of all pages, in an order that does not depend on a map's.
func (l *Ledger) sorted() []PageKey {
	return slices.SortedFunc(maps.Keys(l.pages), func(a, b PageKey) int {
		return cmp.Or(
			cmp.Compare(a.regarding.Namespace, b.regarding.Namespace), cmp.Compare(a.regarding.Name, b.regarding.Name),
			cmp.Compare(a.regarding.UID, b.regarding.UID), cmp.Compare(a.regarding.Kind, b.regarding.Kind),
			cmp.Compare(a.eventType, b.eventType), cmp.Compare(a.reason, b.reason), cmp.Compare(a.action, b.action))
	})
}

// Reference refers to an object, in whatever state it is.
func Reference(object runtime.Object) corev1.ObjectReference {
	switch object := object.(type) {
	case *metav1.PartialObjectMetadata:
		return corev1.ObjectReference{APIVersion: object.APIVersion, Kind: object.Kind, Namespace: object.Namespace, Name: object.Name, UID: object.UID}
	case *corev1.Namespace:
		return corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: object.Name, UID: object.UID}
	case *corev1.Pod:
		return PodReference(object.Namespace, object.Name, object.UID)
	}
	return corev1.ObjectReference{}
}

// PodReference refers to a pod, whose UID may not be known.
func PodReference(namespace, name string, uid types.UID) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: name, UID: uid}
}
