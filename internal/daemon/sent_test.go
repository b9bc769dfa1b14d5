package daemon

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A surge pod that was created and not seen counts while its cell has other requests: here the former pod has failed, and its
// delete is answered. Otherwise another node would surge too (S4).
func TestAwaitedPodOutlivesOtherRequests(t *testing.T) {
	var cells Cells
	cells.SetTemplate("r2", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
	cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
	cells.SetPod("n1", &Pod{Name: "p", UID: "p", Revision: "r1", Bound: true, Ready: true}, t0)
	cells.Sent("n1", []Action{{Op: Create, Revision: "r2", Reason: ReasonSurge}}, t0)
	cells.Answered("n1", true, t0)
	cells.SetPod("n1", &Pod{Name: "p", UID: "p", Revision: "r1", Bound: true, Finished: true, Failed: true}, t0)
	cells.Sent("n1", []Action{{Op: Delete, Pod: Pod{UID: "p"}, Reason: ReasonFinished}}, t0)
	cells.Answered("n1", false, t0)
	if got := cells.rollout.surging; got != 1 {
		t.Errorf("%d nodes surge, want 1: its new pod is awaited", got)
	}
	cells.Sent("n1", []Action{{Op: Create, Revision: "r2", Reason: ReasonMissing}}, t0)
	cells.Answered("n1", false, t0)
	if got := cells.rollout.surging; got != 0 {
		t.Errorf("%d nodes surge after the API server refused the pod, want 0", got)
	}
}

// A pod that was requested for a node without one surges when another one appears there before it is seen, for example that of a second
// active controller (S4, make simulate SEED=9125).
func TestAwaitedPodBesideAnother(t *testing.T) {
	var cells Cells
	cells.SetTemplate("r2", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
	for _, node := range []string{"n1", "n2"} {
		cells.SetNode(node, types.UID("uid-"+node), Verdict{ShouldRun: true, ShouldContinue: true}, t0)
	}
	cells.SetPod("n2", &Pod{Name: "q", UID: "q", Revision: "r1", Bound: true, Ready: true}, t0)
	cells.Sent("n1", []Action{{Op: Create, Revision: "r2", Reason: ReasonMissing}}, t0)
	cells.Made("n1", "mine", t0)
	cells.Answered("n1", true, t0)
	cells.SetPod("n1", &Pod{Name: "p", UID: "theirs", Revision: "r1"}, t0)
	if nodes := cells.Grant(t0); len(nodes) != 0 {
		t.Errorf("%q may surge beside n1, where two pods exist", nodes)
	}
	cells.SetPod("n1", &Pod{Name: "p2", UID: "mine", Revision: "r2", Bound: true, Ready: true}, t0)
	cells.RemovePod("n1", "theirs", t0)
	if nodes := cells.Grant(t0); len(nodes) != 1 || nodes[0] != "n2" {
		t.Errorf("%q may surge, want n2", nodes)
	}
}

// A repeated request may create a second pod under the name of the first one, if that was deleted before it was seen. Then
// the first one does not end the wait for the second, whenever it is seen, and whether or not its own request was answered.
func TestOnlyTheAwaitedPodEndsTheWait(t *testing.T) {
	request := []Action{{Op: Create, Revision: "r1", Reason: ReasonMissing}}
	sent := func(cells *Cells) { cells.Sent("n1", request, t0) }
	made := func(uid types.UID) func(*Cells) {
		return func(cells *Cells) { cells.Made("n1", uid, t0); cells.Answered("n1", true, t0) }
	}
	lost := func(cells *Cells) { cells.Lost("n1", t0) }
	refused := func(cells *Cells) { cells.Answered("n1", false, t0) }
	comes := func(cells *Cells) { cells.SetPod("n1", &Pod{Name: "p", UID: "first", Revision: "r1"}, t0) }
	goes := func(cells *Cells) { cells.RemovePod("n1", "first", t0) }
	for name, steps := range map[string][]func(*Cells){
		"seen after both":                         {sent, made("first"), sent, made("second"), comes, goes},
		"gone while the second is under way":      {sent, made("first"), sent, comes, goes, made("second")},
		"seen while the second is under way":      {sent, made("first"), sent, comes, made("second"), goes},
		"not answered, seen under way":            {sent, lost, sent, comes, made("second"), goes},
		"seen while a third request is under way": {sent, made("first"), sent, made("second"), sent, comes, goes, made("second")},
		"seen after a third request is lost":      {sent, made("first"), sent, lost, sent, lost, comes, goes},
		"refused in between":                      {sent, made("first"), sent, refused, sent, comes, goes, made("second")},
	} {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r1", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
			cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
			for _, step := range steps {
				step(&cells)
			}
			if got := cells.After("n1"); got != "" {
				t.Errorf("a request would be made after %q, want the name of the pod that is awaited", got)
			}
			cells.SetPod("n1", &Pod{Name: "p", UID: "second", Revision: "r1"}, t0)
			if got := cells.After("n1"); got != "second" {
				t.Errorf("a request would be made after %q, want the pod that was seen", got)
			}
		})
	}
}

// A request without an answer ends with the pod that appeared meanwhile: it is probably the one that was requested.
func TestPodThatAppearedEndsALostRequest(t *testing.T) {
	var cells Cells
	cells.SetTemplate("r1", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
	cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
	cells.Sent("n1", []Action{{Op: Create, Revision: "r1", Reason: ReasonMissing}}, t0)
	cells.SetPod("n1", &Pod{Name: "p", UID: "made", Revision: "r1"}, t0)
	if got := cells.After("n1"); got != "" {
		t.Errorf("while the request is under way another would be made after %q", got)
	}
	cells.Lost("n1", t0)
	if got := cells.After("n1"); got != "made" {
		t.Errorf("a request would be made after %q, want the pod that appeared", got)
	}
}

// A pod that was requested to surge counts until it is seen, or was read not to exist: not only for a while.
func TestMissedPodIsReadBeforeItIsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		read func(*Cells, time.Time)
		want int
	}{
		"it exists":       {func(cells *Cells, now time.Time) { cells.Made("n1", "new", now) }, 1},
		"it does not":     {func(cells *Cells, now time.Time) { cells.Unmade("n1", now) }, 0},
		"it was not read": {func(*Cells, time.Time) {}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r2", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
			cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
			cells.SetPod("n1", &Pod{Name: "p", UID: "p", Revision: "r1", Bound: true, Ready: true}, t0)
			cells.Sent("n1", []Action{{Op: Create, Revision: "r2", Reason: ReasonSurge}}, t0)
			cells.Made("n1", "new", t0)
			cells.Answered("n1", true, t0)
			if plan := cells.Plan("n1", t0); plan.Asks() || !plan.WakeAt.Equal(t0.Add(seenAfter)) {
				t.Fatalf("planned: %+v", plan)
			}
			late := t0.Add(seenAfter)
			if plan := cells.Plan("n1", late); !plan.Missed || len(plan.Actions) != 0 {
				t.Fatalf("planned after a minute: %+v", plan)
			}
			test.read(&cells, late)
			cells.Recount([]string{"n1"}, late)
			if got := cells.rollout.surging; got != test.want {
				t.Errorf("%d nodes surge, want %d", got, test.want)
			}
			if plan := cells.Plan("n1", late); test.want == 1 && name == "it exists" && plan.Asks() {
				t.Error("it is read again at once")
			}
		})
	}
}

// A pod that is known to exist is not requested again before it was seen: the request might get another name (S1). One
// that was requested without an answer is.
func TestPodThatExistsIsNotRequestedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(*Cells)
		want   int
	}{
		"made":         {func(cells *Cells) { cells.Made("n1", "new", t0); cells.Answered("n1", true, t0) }, 0},
		"not answered": {func(cells *Cells) { cells.Lost("n1", t0) }, 1},
		"refused":      {func(cells *Cells) { cells.Answered("n1", false, t0) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r1", 0, Strategy{}, t0)
			cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
			cells.Sent("n1", cells.Plan("n1", t0).Actions, t0)
			test.answer(&cells)
			plan := cells.Plan("n1", t0.Add(time.Second))
			if len(plan.Actions) != test.want || test.want == 0 && !plan.WakeAt.Equal(t0.Add(seenAfter)) {
				t.Errorf("planned: %+v, want %d requests", plan, test.want)
			}
		})
	}
}

// However the answer to a request and the event of its pod are interleaved, the wait ends with the second of them.
func TestWaitEndsWithThePod(t *testing.T) {
	sent := func(cells *Cells) {
		cells.Sent("n1", []Action{{Op: Create, Revision: "r1", Reason: ReasonMissing}}, t0)
	}
	made := func(cells *Cells) { cells.Made("n1", "new", t0) }
	answered := func(cells *Cells) { cells.Answered("n1", true, t0) }
	comes := func(cells *Cells) { cells.SetPod("n1", &Pod{Name: "p", UID: "new", Revision: "r1"}, t0) }
	for name, steps := range map[string][]func(*Cells){
		"before the answer":     {sent, comes, made, answered},
		"while it is processed": {sent, made, comes, answered},
		"after it":              {sent, made, answered, comes},
	} {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r1", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
			cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
			for _, step := range steps {
				step(&cells)
			}
			if len(cells.sent) != 0 {
				t.Error("the pod is still awaited")
			}
		})
	}
}
