package controller

import (
	"context"
	"encoding/json"
	"math/bits"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A warning that repeats, as a refusal does at every step of its back-off, is one event with a count. The
// count is written when it has doubled, and when it was not for so long that the event would expire
// (the API server keeps events for an hour). A series that has been silent for longer than the longest
// back-off is forgotten.
const (
	seriesInterval = 15 * time.Minute
	seriesMemory   = 40 * time.Minute
	seriesLimit    = 10_000 // entries that are remembered, of one page
)

// series is an event whose entries came again.
type series struct {
	name    string
	count   int // what the fullest of its entries came to
	at      time.Time
	written time.Time
	byEntry map[string]int
}

// countRepeated counts entries of warnings that were told before, and gives the others.
func (l *ledger) countRepeated(ctx context.Context, key pageKey, entries []entry) (news []entry) {
	if key.eventType != corev1.EventTypeWarning {
		return entries
	}
	due, news := l.repeated(key, entries)
	for of, again := range due {
		if err := l.writeCount(ctx, key, of); apierrors.IsNotFound(err) {
			l.forget(key, of)
			news = append(news, again...)
		}
	}
	return news
}

// repeated counts, and gives the series whose count is to be written.
func (l *ledger) repeated(key pageKey, entries []entry) (due map[*series][]entry, news []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, now := l.pages[key], l.now()
	due = map[*series][]entry{}
	told := map[string]struct{}{}
	for _, e := range entries {
		of := p.series[e.key()]
		if of == nil {
			if _, twice := told[e.key()]; !twice {
				told[e.key()] = struct{}{}
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
				due[of] = append(due[of], e)
			}
		}
	}
	return due, news
}

func (l *ledger) writeCount(ctx context.Context, key pageKey, of *series) error {
	patch, err := json.Marshal(map[string]any{"series": map[string]any{"count": of.count, "lastObservedTime": metav1.NewMicroTime(of.at)}})
	if err != nil {
		return err
	}
	event := &eventsv1.Event{}
	event.Namespace, event.Name = namespaceOfEvents(key), of.name
	return l.client.Patch(ctx, event, client.RawPatch(types.MergePatchType, patch))
}

// remember begins a series for what an event told.
func (l *ledger) remember(key pageKey, event *eventsv1.Event, entries []entry) {
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
func (l *ledger) forget(key pageKey, of *series) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pages[key]; p != nil {
		for entry := range of.byEntry {
			delete(p.series, entry)
		}
	}
}

// forgetSilent ends the series that nothing came of for long.
func (p *page) forgetSilent(now time.Time) {
	for entry, of := range p.series {
		if now.Sub(of.at) >= seriesMemory {
			delete(p.series, entry)
		}
	}
}
