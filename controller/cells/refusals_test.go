package cells

import (
	"fmt"
	"testing"
	"time"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/pace"
	"github.com/everynode/everynode/internal/daemon"
)

// The API server's refusal of one pod may apply to all pods of the daemon: a quota costs one request for
// each step of the back-off, not one for each node (S8), and when there is room again, all follow at once.
// The same applies to a namespace that is being deleted and does not terminate.
func TestRefusedDaemonRetriesOneAtATime(t *testing.T) {
	for reason, refuse := range map[string]error{answers.ReasonFailed: errQuota(), answers.ReasonTerminating: errNamespaceTerminating()} {
		t.Run(reason, func(t *testing.T) { asksOneAtATime(t, refuse, reason) })
	}
}

func asksOneAtATime(t *testing.T, refuse error, reason string) {
	const nodes, hour = 50, time.Hour
	s := newStage(t)
	cells := []daemon.CellKey{stageKey}
	for n := 1; n < nodes; n++ {
		node := makeNode(fmt.Sprintf("more-%d", n))
		s.state.SeeNode(node)
		cells = append(cells, fixture.Key(s.set).On(node.Name))
	}
	s.Refuse = refuse
	due := map[daemon.CellKey]time.Time{}
	for s.clock.Time.Sub(t0) < hour {
		for _, cell := range cells {
			if !due[cell].After(s.clock.Time) {
				result, err := s.reconciler.Reconcile(t.Context(), cell)
				wait := result.RequeueAfter
				if err != nil {
					wait = answers.RefusedBackOffMax // of its own
				}
				due[cell] = s.clock.Time.Add(wait)
			}
		}
		s.clock.Advance(time.Second)
	}
	if got := len(s.Requests); got < 10 || got > 14 {
		t.Errorf("%d requests in an hour, want the 10 to 14 of one back-off", got)
	}
	_, health := s.state.Health(fixture.Key(s.set))
	problems := map[string]int{}
	for _, problem := range health.Problems {
		problems[problem.Reason]++
	}
	if problems[reason] != nodes {
		t.Errorf("nodes have the problems %v, want all %d %s", problems, nodes, reason)
	}
	s.queues.Drain()
	s.Refuse = nil
	s.clock.Advance(answers.RefusedBackOffMax)
	if _, err := s.reconciler.Reconcile(t.Context(), cells[7]); err != nil {
		t.Fatal(err)
	}
	if woken, _ := s.queues.Drain(); len(woken) != nodes {
		t.Errorf("%d cells are planned when a pod is accepted, want all %d", len(woken), nodes)
	}
	for _, cell := range cells {
		if _, err := s.reconciler.Reconcile(t.Context(), cell); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.Pods(t)); got != nodes {
		t.Errorf("%d pods, want %d", got, nodes)
	}
}

// A cell that is held back sends no request, so it does not raise the limit of concurrent creates.
func TestHeldBackCellsTakeNoTurn(t *testing.T) {
	s := newStage(t)
	s.reconciler.gate = pace.New(8)
	s.Refuse = errQuota()
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err == nil {
		t.Fatal("no error after a refusal")
	}
	before, _ := s.reconciler.gate.State()
	for range 5 {
		if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil {
			t.Fatal(err)
		}
	}
	if limit, inFlight := s.reconciler.gate.State(); limit != before || inFlight != 0 {
		t.Errorf("%d of %d turns in use after five cells were held back, want none of %d", inFlight, limit, before)
	}
}
