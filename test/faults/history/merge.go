package history

import (
	"cmp"
	"slices"
	"time"
)

// Merge makes one sequence of streams, each of which is in order by itself. Changes are ordered by their revisions. A mark
// between two changes of a stream stays before the second, as a Gap must. Requests, and the marks of streams without
// changes, only have a time, while the time of a change is when it was observed, which is later than when it was stored.
// But a change was stored before any later one was observed. So a request precedes every change that it may have caused:
// it is put before the first change that may have been stored after the API server received it.
func Merge(streams ...[]Record) []Record {
	var changes []ordered
	var timed []Record
	for _, stream := range streams {
		changes, timed = split(stream, changes, timed)
	}
	slices.SortStableFunc(changes, func(a, b ordered) int { return cmp.Compare(a.revision, b.revision) })
	slices.SortStableFunc(timed, func(a, b Record) int { return a.At.Compare(b.At) })

	stored := storedBefore(changes)
	merged := make([]Record, 0, len(changes)+len(timed))
	for i, change := range changes {
		for len(timed) > 0 && timed[0].At.Before(stored[i]) {
			merged, timed = append(merged, timed[0]), timed[1:]
		}
		merged = append(merged, change.Record)
	}
	return append(merged, timed...)
}

// ordered is a change, or a mark that stays before one, with the revision by which it is ordered.
type ordered struct {
	Record
	revision int64
}

// split divides a stream into what has an order by revision and what only has a time.
func split(stream []Record, changes []ordered, timed []Record) ([]ordered, []Record) {
	last := slices.IndexFunc(stream, func(r Record) bool { return r.Change != nil })
	if last < 0 {
		return changes, append(timed, stream...)
	}
	from := len(changes)
	for _, record := range stream {
		if record.Request != nil {
			timed = append(timed, record)
			continue
		}
		changes = append(changes, ordered{record, record.Revision})
	}
	const never = int64(^uint64(0) >> 1)
	next := never
	for i := len(changes) - 1; i >= from; i-- {
		if changes[i].Change == nil {
			changes[i].revision = next
		}
		next = changes[i].revision
	}
	return changes, timed
}

// storedBefore returns for each change a time before which it was stored: the earliest time at which it or a later one was
// observed.
func storedBefore(changes []ordered) []time.Time {
	times := make([]time.Time, len(changes))
	for i := len(changes) - 1; i >= 0; i-- {
		times[i] = changes[i].At
		if i+1 < len(changes) && times[i+1].Before(times[i]) {
			times[i] = times[i+1]
		}
	}
	return times
}
