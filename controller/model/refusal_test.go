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
	s := newState(clock.Now, nil)
	s.begin()
	see(t, s, makeDaemon("a"))
	see(t, s, makeDaemon("b"))
	a, b := daemon.WorkloadKey{Namespace: "ns", UID: "uid-a"}, daemon.WorkloadKey{Namespace: "ns", UID: "uid-b"}
	quota := errors.New("quota")
	may := func(cell daemon.CellKey, want time.Duration) {
		t.Helper()
		wait, because := s.mayAsk(cell)
		if wait != want || (because != nil) != (want > 0) {
			t.Errorf("at %s %s on %s waits %s because of %v, want %s", clock.Time.Sub(t0), cell.Owner, cell.Node, wait, because, want)
		}
	}
	may(a.On("n1"), 0)
	s.refused(a.On("n1"), quota, true)
	s.refused(a.On("n2"), quota, true) // it was under way
	may(a.On("n3"), time.Second)
	may(b.On("n1"), 0)
	clock.Advance(time.Second)
	may(a.On("n4"), 0)
	may(a.On("n5"), 2*time.Second) // n4 asks
	if got := s.woken(func(u Update) { u.TryAgainIn("other") }); got != nil {
		t.Errorf("woken elsewhere are %v", got)
	}
	if got := s.woken(func(u Update) { u.TryAgainIn("ns") }); len(got) != 5 {
		t.Errorf("%v may ask again, want all five", got)
	}
	may(a.On("n3"), 0)
	s.refused(a.On("n3"), quota, true)
	may(a.On("n1"), time.Second) // it is reset
}

func (s *state) mayAsk(cell daemon.CellKey) (wait time.Duration, because error) {
	s.update(func(u Update) { wait, because = u.MayAsk(cell) })
	return wait, because
}

func (s *state) refused(cell daemon.CellKey, err error, ofDaemon bool) {
	s.update(func(u Update) { u.Refused(cell, err, ofDaemon) })
}

// woken are the cells that an observation wakes, its work included.
func (s *state) woken(observe func(Update)) (cells []daemon.CellKey) {
	before := s.ended
	defer func() { s.ended = before }()
	s.ended = func(wake *Wake) {
		for _, cell := range wake.Cells {
			cells = append(cells, cell.Key)
		}
	}
	s.update(observe)
	return cells
}

// Of a cell that needs no pod any more, and of a daemon that is gone, no obstacle is remembered.
func TestObstaclesAreForgotten(t *testing.T) {
	s, _, _ := newTestState()
	set := makeDaemon("d")
	see(t, s, set)
	for _, name := range []string{"n1", "n2"} {
		s.seeNode(makeNode(name))
		s.refused(keyOf(set).On(name), errWhole, true)
		s.setProblem(keyOf(set).On(name), daemon.Problem{Reason: nameTaken, Message: "m"})
	}
	known := s.daemons[keyOf(set)]
	s.forgetNode("n1")
	s.update(func(u Update) { u.NeedsNone(keyOf(set).On("n1")) })
	s.setProblem(keyOf(set).On("n1"), daemon.Problem{})
	if n := known.obstacles.Len(); n != 1 {
		t.Errorf("%d obstacles are remembered, want that of n2", n)
	}
	s.update(func(u Update) { u.NeedsNone(keyOf(set).On("n2")) })
	if known.refusal != nil || s.index.refused.Len() > 0 {
		t.Error("the refusal is not over with its last cell")
	}
	s.forgetDaemon(keyOf(set))
	s.refused(keyOf(set).On("n2"), errWhole, true) // it was under way
	s.forgetNode("n2")
	s.update(func(u Update) { u.ForgetRevision("ns", fixture.Record(set).Name) })
	if size := s.Size(); size > 0 {
		t.Errorf("%d entries are remembered", size)
	}
}
