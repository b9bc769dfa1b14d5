package daemon

import "testing"

// Of two pods that wait, the one that goes may be bound and become available before its delete arrives: then it stays (S4).
func TestExcessStaysIfItChanged(t *testing.T) {
	for name, test := range map[string]struct {
		ready bool
		want  bool
	}{
		"it waits":        {ready: false, want: true},
		"it is available": {ready: true, want: false},
	} {
		t.Run(name, func(t *testing.T) {
			older, younger := &Pod{Name: "p", UID: "p", Bound: true, Ready: true}, &Pod{Name: "q", UID: "q", Bound: test.ready, Ready: test.ready}
			cell := &Cell{Node: "n1", NodeUID: "uid", Verdict: Verdict{ShouldRun: true, ShouldContinue: true}, Pods: []*Pod{older, younger}}
			plan := planCell(cell, &terms{}, t0)
			if len(plan.Actions) != 1 || plan.Actions[0].Reason != ReasonExcess || plan.Actions[0].IfUnchanged != test.want {
				t.Errorf("actions %+v, want one of an excess pod, if unchanged %v", plan.Actions, test.want)
			}
		})
	}
}
