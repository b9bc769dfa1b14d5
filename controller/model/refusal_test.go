package model

import (
	"errors"
	"testing"
	"time"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

func TestRefusals(t *testing.T) {
	clock := &clock{Time: t0}
	w := newWorld(clock.Now, nil)
	w.begin()
	see(t, w, makeDaemon("a"))
	see(t, w, makeDaemon("b"))
	a, b := daemon.WorkloadKey{Namespace: "ns", UID: "uid-a"}, daemon.WorkloadKey{Namespace: "ns", UID: "uid-b"}
	quota := errors.New("quota")
	may := func(cell daemon.CellKey, want time.Duration) {
		t.Helper()
		wait, because := w.mayAsk(cell)
		if wait != want || (because != nil) != (want > 0) {
			t.Errorf("at %s %s on %s waits %s because of %v, want %s", clock.Time.Sub(t0), cell.Owner, cell.Node, wait, because, want)
		}
	}
	may(a.On("n1"), 0)
	w.refused(a.On("n1"), quota, true)
	w.refused(a.On("n2"), quota, true) // it was under way
	may(a.On("n3"), time.Second)
	may(b.On("n1"), 0)
	clock.Advance(time.Second)
	may(a.On("n4"), 0)
	may(a.On("n5"), 2*time.Second) // n4 asks
	if got := w.woken(func(u Update) { u.TryAgainIn("other") }); got != nil {
		t.Errorf("woken elsewhere are %v", got)
	}
	if got := w.woken(func(u Update) { u.TryAgainIn("ns") }); len(got) != 5 {
		t.Errorf("%v may ask again, want all five", got)
	}
	may(a.On("n3"), 0)
	w.refused(a.On("n3"), quota, true)
	may(a.On("n1"), time.Second) // it is reset
}

func (w *world) mayAsk(cell daemon.CellKey) (wait time.Duration, because error) {
	w.update(func(u Update) { wait, because = u.MayAsk(cell) })
	return wait, because
}

func (w *world) refused(cell daemon.CellKey, err error, ofDaemon bool) {
	w.update(func(u Update) { u.Refused(cell, err, ofDaemon) })
}

// woken are the cells that an observation wakes, its work included.
func (w *world) woken(observe func(Update)) (cells []daemon.CellKey) {
	before := w.ended
	defer func() { w.ended = before }()
	w.ended = func(wake *Wake) {
		for _, cell := range wake.Cells {
			cells = append(cells, cell.Key)
		}
	}
	w.update(observe)
	return cells
}

// Of a cell that needs no pod any more, and of a daemon that is gone, no obstacle is remembered.
func TestObstaclesAreForgotten(t *testing.T) {
	w, _, _ := newTestWorld()
	set := makeDaemon("d")
	see(t, w, set)
	for _, name := range []string{"n1", "n2"} {
		w.nodeSeen(makeNode(name))
		w.refused(keyOf(set).On(name), errWhole, true)
		w.trouble(keyOf(set).On(name), daemon.Problem{Reason: nameTaken, Message: "m"})
	}
	known := w.daemons[keyOf(set)]
	w.nodeGone("n1")
	w.update(func(u Update) { u.NeedsNone(keyOf(set).On("n1")) })
	w.trouble(keyOf(set).On("n1"), daemon.Problem{})
	if n := known.obstacles.Len(); n != 1 {
		t.Errorf("%d obstacles are remembered, want that of n2", n)
	}
	w.update(func(u Update) { u.NeedsNone(keyOf(set).On("n2")) })
	if known.refusal != nil || w.index.refused.Len() > 0 {
		t.Error("the refusal is not over with its last cell")
	}
	w.daemonGone(keyOf(set))
	w.refused(keyOf(set).On("n2"), errWhole, true) // it was under way
	w.nodeGone("n2")
	w.update(func(u Update) { u.ForgetRevision("ns", fixture.Record(set).Name) })
	if size := w.Size(); size > 0 {
		t.Errorf("%d entries are remembered", size)
	}
}
