package controller

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/everynode/everynode/internal/daemon"
)

// What the API server says of one pod of a daemon it says of all: a quota costs a request a step of
// back-off, not one for each node (S8), and when there is room again all follow at once. So does a
// namespace that is being deleted, for as long as something keeps it.
func TestRefusedDaemonAsksOneAtATime(t *testing.T) {
	for reason, refuse := range map[string]error{eventFailed: errQuota(), eventTerminating: errNamespaceTerminating()} {
		t.Run(reason, func(t *testing.T) { asksOneAtATime(t, refuse, reason) })
	}
}

func asksOneAtATime(t *testing.T, refuse error, reason string) {
	const nodes, hour = 50, time.Hour
	s := newStage(t)
	cells := []daemon.Key{stageKey}
	for n := 1; n < nodes; n++ {
		node := makeNode(fmt.Sprintf("more-%d", n))
		s.world.nodeSeen(node)
		cells = append(cells, keyOf(s.set).on(node.Name))
	}
	woken := map[daemon.Key]bool{}
	s.world.plan = func(cell daemon.Key, _ int32) { woken[cell] = true }
	s.refuse = refuse
	due := map[daemon.Key]time.Time{}
	for s.clock.now.Sub(t0) < hour {
		for _, cell := range cells {
			if !due[cell].After(s.clock.now) {
				result, err := s.actor.Reconcile(t.Context(), cell)
				wait := result.RequeueAfter
				if err != nil {
					wait = lastRefused // of its own
				}
				due[cell] = s.clock.now.Add(wait)
			}
		}
		s.clock.advance(time.Second)
	}
	if got := len(s.requests); got < 10 || got > 14 {
		t.Errorf("%d requests in an hour, want the 10 to 14 of one back-off", got)
	}
	_, health := s.world.health(keyOf(s.set))
	problems := map[string]int{}
	for _, problem := range health.Problems {
		problems[problem.Reason]++
	}
	if problems[reason] != nodes {
		t.Errorf("nodes have the problems %v, want all %d %s", problems, nodes, reason)
	}
	clear(woken)
	s.refuse = nil
	s.clock.advance(lastRefused)
	if _, err := s.actor.Reconcile(t.Context(), cells[7]); err != nil {
		t.Fatal(err)
	}
	if len(woken) != nodes {
		t.Errorf("%d cells are planned when a pod is taken, want all %d", len(woken), nodes)
	}
	for _, cell := range cells {
		if _, err := s.actor.Reconcile(t.Context(), cell); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.pods(t)); got != nodes {
		t.Errorf("%d pods, want %d", got, nodes)
	}
}

// Who is held back asked nothing: that is no answer that lets more creates in at a time.
func TestHeldBackLetsNobodyIn(t *testing.T) {
	s := newStage(t)
	s.actor.gate = newThrottle(8)
	s.refuse = errQuota()
	if _, err := s.actor.Reconcile(t.Context(), stageKey); err == nil {
		t.Fatal("a refused pod is no error")
	}
	before := s.actor.gate.limit
	for range 5 {
		if _, err := s.actor.Reconcile(t.Context(), stageKey); err != nil {
			t.Fatal(err)
		}
	}
	if gate := s.actor.gate; gate.limit != before || gate.inFlight != 0 {
		t.Errorf("%d of %d are let in after five were held back, want none of %d", gate.inFlight, gate.limit, before)
	}
}

func TestRefusals(t *testing.T) {
	clock := &clock{now: t0}
	r := newRefusals(clock.Now)
	a, b := DaemonKey{"ns", "a"}, DaemonKey{"ns", "b"}
	quota := errors.New("quota")
	may := func(cell daemon.Key, want time.Duration) {
		t.Helper()
		wait, because := r.mayAsk(cell)
		if wait != want || (because != nil) != (want > 0) {
			t.Errorf("at %s %s on %s waits %s because of %v, want %s", clock.now.Sub(t0), cell.Owner, cell.Node, wait, because, want)
		}
	}
	may(a.on("n1"), 0)
	r.note(a.on("n1"), quota)
	r.note(a.on("n2"), quota) // it was under way
	may(a.on("n3"), time.Second)
	may(b.on("n1"), 0)
	clock.advance(time.Second)
	may(a.on("n4"), 0)
	may(a.on("n5"), 2*time.Second) // n4 asks
	if got := r.in("ns"); len(got) != 1 || got[0] != a {
		t.Errorf("refused are %v", got)
	}
	if got := r.in("other"); got != nil {
		t.Errorf("refused elsewhere are %v", got)
	}
	if got := r.over(a); len(got) != 5 {
		t.Errorf("%v may ask again, want all five", got)
	}
	may(a.on("n3"), 0)
	r.note(a.on("n3"), quota)
	may(a.on("n1"), time.Second) // it begins anew
	if got := r.over(b); got != nil {
		t.Errorf("of b %v may ask again, want none", got)
	}
}
