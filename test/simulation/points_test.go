package simulation

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every write of the reference run is a crash point. After each fault the cluster ends in the same states as without one, and
// no more than one pod more is created and deleted.
func TestCrashPoints(t *testing.T) {
	for _, native := range []bool{false, true} {
		t.Run(fmt.Sprintf("native=%v", native), func(t *testing.T) {
			clean, writes, _ := Reference(native, Point{})
			if len(clean.Violations) > 0 {
				t.Fatalf("the run without a fault: %v\n%s", clean.Violations, clean.Text())
			}
			var covered, more atomic.Int64
			t.Run("points", func(t *testing.T) {
				for _, outcome := range PointOutcomes {
					t.Run(string(outcome), func(t *testing.T) {
						t.Parallel()
						for write := range writes {
							checkPoint(t, native, clean, Point{write + 1, outcome}, &covered, &more)
						}
					})
				}
			})
			total := int64(writes * len(PointOutcomes))
			t.Logf("%d of %d points covered: %d writes, %d outcomes; at most %d pods more created and deleted than the %d without a fault",
				covered.Load(), total, writes, len(PointOutcomes), more.Load(), clean.changesOfPods())
			if covered.Load() != total {
				t.Errorf("%d of %d points were covered", covered.Load(), total)
			}
		})
	}
}

func checkPoint(t *testing.T, native bool, clean *Run, at Point, covered, more *atomic.Int64) {
	run, _, hit := Reference(native, at)
	if hit {
		covered.Add(1)
	}
	extra := int64(run.changesOfPods() - clean.changesOfPods())
	if extra > more.Load() {
		more.Store(extra)
	}
	diff := cmp.Diff(clean.state, run.state)
	if len(run.Violations) == 0 && diff == "" && extra <= 2 {
		return
	}
	t.Errorf("write %d, %s: %v, %d pods more created and deleted, states (-want, +got):\n%s", at.Write, at.Outcome, run.Violations, extra, diff)
	if first.CompareAndSwap(false, true) {
		t.Logf("the history:\n%s", run.Text())
	}
}

// first is set when a history was printed.
var first atomic.Bool

// changesOfPods returns how many pods were created and deleted.
func (r *Run) changesOfPods() int { return r.journal.created + r.journal.deleted }

// The reference has the whole life of a DaemonSet in it.
func TestReferenceIsComplete(t *testing.T) {
	for _, native := range []bool{false, true} {
		clean, _, _ := Reference(native, Point{})
		for _, want := range []string{"create pod", "delete pod", "create controllerrevision", "delete controllerrevision", "patch controllerrevision", "update daemonset d/status", "create event"} {
			if !slices.ContainsFunc(clean.lines(), func(line string) bool { return contains(line, want) }) {
				t.Errorf("native %v: no request %q", native, want)
			}
		}
	}
}
