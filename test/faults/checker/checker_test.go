package checker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everynode/everynode/test/faults/history"
)

// rollouts is a history of a number of rollouts on a number of nodes, each of which breaks S4 if it is to.
func rollouts(times, nodes int, breaks bool) *history.History {
	s := newScript()
	set, all := s.daemon("d"), s.nodes(nodes)
	pods := s.runAll(set, all, 0)
	for n := range times {
		s.edit(set, image(fmt.Sprintf("image:%d", n+2)))
		for i, node := range all {
			s.knowing().drop(pods[i])
			if breaks && i == 0 {
				s.knowing().drop(pods[1])
			}
			s.remove(pods[i])
			pods[i] = s.run(set, node, fmt.Sprintf("p-%s-%d", node.Name, n+1))
		}
	}
	s.mark(history.Settled)
	return s.h
}

// A history that was saved and loaded gets the same verdict.
func TestSavedVerdict(t *testing.T) {
	for _, breaks := range []bool{false, true} {
		h := rollouts(3, 5, breaks)
		var saved bytes.Buffer
		if err := h.Save(&saved); err != nil {
			t.Fatal(err)
		}
		loaded, err := history.Load(&saved)
		if err != nil {
			t.Fatal(err)
		}
		want, got := Judge(h), Judge(loaded)
		if want.Broke(S4) != breaks {
			t.Errorf("breaks S4: %v, want %v: %s", want.Broke(S4), breaks, want.Summary())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want, +got)\n%s", diff)
		}
		if text := want.Text(h, 3); breaks && strings.Count(text, "\n") < 5 {
			t.Errorf("a violation has to be shown with the records before it:\n%s", text)
		}
	}
}

// Judging costs as much as there is to judge, because each seed of the simulation is judged: twice as many rollouts must not
// take four times as much.
func TestJudgingIsLinear(t *testing.T) {
	allocations := func(rounds int) float64 {
		h := rollouts(20, rounds, false)
		return testing.AllocsPerRun(3, func() {
			if verdict := Judge(h); len(verdict.Violations) > 0 {
				t.Fatal(verdict.Text(h, 5))
			}
		})
	}
	if once, twice := allocations(6), allocations(12); twice > 3*once {
		t.Errorf("%.0f allocations for 6 rollouts and %.0f for 12", once, twice)
	}
}

func BenchmarkJudge(b *testing.B) {
	h := rollouts(20, 12, false)
	for b.Loop() {
		Judge(h)
	}
	b.ReportMetric(float64(len(h.Records)), "records")
}
