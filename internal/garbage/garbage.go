// Package garbage sets how much garbage a process may accumulate before Go collects it: a share of a large heap, and
// a fixed number of bytes for a small one. A percentage alone (GOGC) either collects a small heap all the time or lets a
// large one use a multiple of what it needs.
package garbage

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Room is how much garbage may accumulate: Share percent of the live heap, and at least Bytes.
type Room struct {
	Share int
	Bytes uint64
}

// smallest is the minimum live heap that Go assumes (runtime heapMinimum at GOGC=100).
const smallest = 4 << 20

// percent returns the value of GOGC that gives the room to a live heap of this size.
func (r Room) percent(inUse uint64) int {
	return max(r.Share, int(r.Bytes*100/max(inUse, smallest))) //nolint:gosec // G115: percent of at least 4 MiB
}

// Keep maintains the room in this process from now on, unless the user has set GOGC. GOMEMLIMIT applies in any case: Go then
// collects as often as the limit requires.
func (r Room) Keep() {
	if os.Getenv("GOGC") != "" {
		return
	}
	t := &tuner{room: r, set: debug.SetGCPercent}
	t.tune(0)
	afterEachCycle(func() { t.tune(inUse()) })
}

// tuner updates the percentage when it has changed.
type tuner struct {
	room    Room
	set     func(percent int) (former int)
	percent int
}

// tune stops the world for a moment when it sets the percentage, so it skips changes of less than a tenth.
func (t *tuner) tune(inUse uint64) {
	next := t.room.percent(inUse)
	if difference := max(next-t.percent, t.percent-next); difference == 0 || difference < t.percent/10 && next != t.room.Share {
		return
	}
	t.percent = next
	t.set(next)
}

// inUse returns the live heap that the last garbage collection found.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// afterEachCycle calls f after each garbage collection: Go finalizes an object that nothing refers to once a cycle has
// found it, and the finalizer registers itself again.
func afterEachCycle(f func()) {
	type sentinel [32]byte // Go shares blocks among objects of less than 16 bytes, and may never find those unreferenced
	var again func(*sentinel)
	again = func(s *sentinel) {
		f()
		runtime.SetFinalizer(s, again)
	}
	runtime.SetFinalizer(new(sentinel), again)
}
