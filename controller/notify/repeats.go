package notify

import (
	"context"
	"encoding/json"
	"math/bits"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A warning that repeats, as a refusal does at every step of its back-off, is one event with a count. The count
// is written when it has doubled, and before the event would expire (the API server keeps events for an hour).
// A series without a repetition for longer than the longest back-off is forgotten.
const (
	seriesInterval = 15 * time.Minute
	seriesMemory   = 40 * time.Minute
	seriesLimit    = 10_000 // entries that are remembered, of one page
)

// series is an event whose entries repeat.
type series struct {
	name    string
	count   int // the highest count of its entries
	at      time.Time
	written time.Time
	byEntry map[string]int
}

// countRepeated counts entries of warnings that were written before, and returns the others.
func (l *Ledger) countRepeated(ctx context.Context, key PageKey, entries []Entry) (news []Entry) {
	if key.eventType != corev1.EventTypeWarning {
		return entries
	}
	due, news := l.repeated(key, entries)
	for _, again := range due {
		if err := l.writeCount(ctx, key, again.series); apierrors.IsNotFound(err) {
			l.forget(key, again.series)
			news = append(news, again.entries...)
		}
	}
	return news
}

// again is a series whose count has to be written, and the entries that repeated it.
type again struct {
	series  *series
	entries []Entry
}

// repeated counts, and returns the series whose count has to be written.
func (l *Ledger) repeated(key PageKey, entries []Entry) (due []again, news []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, now := l.pages[key], l.now()
	noted := map[string]struct{}{}
	for _, e := range entries {
		of := p.series[e.key()]
		if of == nil {
			if _, twice := noted[e.key()]; !twice {
				noted[e.key()] = struct{}{}
				news = append(news, e)
			}
			continue
		}
		of.at = now
		of.byEntry[e.key()]++
		if count := of.byEntry[e.key()]; count > of.count {
			of.count = count
			if bits.OnesCount(uint(count)) == 1 || now.Sub(of.written) >= seriesInterval {
				of.written = now
				due = repeat(due, of, e)
			}
		}
	}
	return due, news
}

// repeat adds an entry to its series, which may be due for another entry already.
func repeat(due []again, of *series, e Entry) []again {
	at := slices.IndexFunc(due, func(a again) bool { return a.series == of })
	if at < 0 {
		return append(due, again{of, []Entry{e}})
	}
	due[at].entries = append(due[at].entries, e)
	return due
}

func (l *Ledger) writeCount(ctx context.Context, key PageKey, of *series) error {
	patch, err := json.Marshal(map[string]any{"series": map[string]any{"count": of.count, "lastObservedTime": metav1.NewMicroTime(of.at)}})
	if err != nil {
		return err
	}
	event := &eventsv1.Event{}
	event.Namespace, event.Name = namespaceOfEvents(key), of.name
	return l.client.Patch(ctx, event, client.RawPatch(types.MergePatchType, patch))
}

// remember begins a series for an event.
func (l *Ledger) remember(key PageKey, event *eventsv1.Event, entries []Entry) {
	if key.eventType != corev1.EventTypeWarning {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pages[key]
	if p == nil {
		return
	}
	if p.series == nil || len(p.series) >= seriesLimit {
		p.series = map[string]*series{}
	}
	now := l.now()
	of := &series{name: event.Name, count: 1, at: now, written: now, byEntry: map[string]int{}}
	for i := range entries {
		of.byEntry[entries[i].key()] = 1
		p.series[entries[i].key()] = of
	}
}

// forget ends a series whose event is gone.
func (l *Ledger) forget(key PageKey, of *series) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pages[key]; p != nil {
		for Entry := range of.byEntry {
			delete(p.series, Entry)
		}
	}
}

// forgetSilent removes series without a recent repetition.
func (p *page) forgetSilent(now time.Time) {
	for Entry, of := range p.series {
		if now.Sub(of.at) >= seriesMemory {
			delete(p.series, Entry)
		}
	}
}
