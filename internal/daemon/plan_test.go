package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestPlanCell(t *testing.T) {
	pod := func(name string, change ...func(*Pod)) Pod {
		made := Pod{Name: name, UID: types.UID("uid-" + name), Revision: "r1", NodeUID: "a", Created: t0, Bound: true}
		for _, c := range change {
			c(&made)
		}
		return made
	}
	terminating := func(p *Pod) { p.Terminating = true }
	finished := func(p *Pod) { p.Finished = true }
	waiting := func(p *Pod) { p.Bound = false }
	younger := func(p *Pod) { p.Created = t0.Add(time.Second) }
	madeForB := func(p *Pod) { p.NodeUID = "b" }
	byHand := func(p *Pod) { p.NodeUID = "" }
	readySince := func(at time.Time) func(*Pod) { return func(p *Pod) { p.Ready, p.ReadySince = true, at } }

	type step struct {
		Op     Op
		Pod    string // of Delete
		Reason Reason
	}
	create := []step{{Op: Create, Reason: ReasonMissing}}
	gone := Verdict{}

	tests := map[string]struct {
		verdict  Verdict
		nodeGone bool
		pods     []Pod
		minReady time.Duration
		retryAt  time.Time
		want     []step
		wantWake time.Time
	}{
		"missing: one is made":                      {verdict: eligible, want: create},
		"missing on a NoSchedule node: none":        {verdict: noSchedule},
		"missing on a node that does not match":     {verdict: mismatch},
		"missing on a node that is gone":            {nodeGone: true, verdict: gone},
		"one that stands stays":                     {verdict: eligible, pods: []Pod{pod("p")}},
		"one that waits for its node stays":         {verdict: eligible, pods: []Pod{pod("p", waiting)}},
		"one not made by the controller stays":      {verdict: eligible, pods: []Pod{pod("p", byHand)}},
		"terminating holds the place (S1)":          {verdict: eligible, pods: []Pod{pod("p", terminating)}},
		"terminating and finished does not":         {verdict: eligible, pods: []Pod{pod("p", terminating, finished)}, want: create},
		"terminating of an earlier node holds it":   {verdict: eligible, pods: []Pod{pod("p", terminating, madeForB)}},
		"terminating is not deleted again":          {verdict: mismatch, pods: []Pod{pod("p", terminating)}},
		"terminating on a node that is gone":        {nodeGone: true, pods: []Pod{pod("p", terminating)}},
		"node gone: its pods go":                    {nodeGone: true, pods: []Pod{pod("p"), pod("q", waiting)}, want: []step{{Delete, "p", ReasonNodeGone}, {Delete, "q", ReasonNodeGone}}},
		"not to continue: all go, for that reason":  {verdict: mismatch, pods: []Pod{pod("p"), pod("q", waiting)}, want: []step{{Delete, "p", ReasonNodeSelector}, {Delete, "q", ReasonNodeSelector}}},
		"not to continue: finished go at once":      {verdict: mismatch, retryAt: t0.Add(time.Hour), pods: []Pod{pod("p", finished)}, want: []step{{Delete, "p", ReasonNodeSelector}}},
		"NoSchedule lets it stay":                   {verdict: noSchedule, pods: []Pod{pod("p")}},
		"NoSchedule lets one that waits stay":       {verdict: noSchedule, pods: []Pod{pod("p", waiting)}},
		"NoSchedule keeps just one":                 {verdict: noSchedule, pods: []Pod{pod("p"), pod("q")}, want: []step{{Delete, "q", ReasonExcess}}},
		"NoSchedule: a finished one goes":           {verdict: noSchedule, pods: []Pod{pod("p", finished)}, want: []step{{Delete, "p", ReasonFinished}}},
		"node replaced: the old pod goes":           {verdict: eligible, pods: []Pod{pod("p", madeForB)}, want: []step{{Delete, "p", ReasonNodeReplaced}}},
		"node replaced: the old one is not excess":  {verdict: eligible, pods: []Pod{pod("p", madeForB), pod("q", younger)}, want: []step{{Delete, "p", ReasonNodeReplaced}}},
		"node replaced: finished needs no back-off": {verdict: eligible, retryAt: t0.Add(time.Hour), pods: []Pod{pod("p", madeForB, finished)}, want: []step{{Delete, "p", ReasonNodeReplaced}}},
		"finished goes":                             {verdict: eligible, pods: []Pod{pod("p", finished)}, want: []step{{Delete, "p", ReasonFinished}}},
		"finished goes when its time has come":      {verdict: eligible, retryAt: t0, pods: []Pod{pod("p", finished)}, want: []step{{Delete, "p", ReasonFinished}}},
		"finished waits for its time":               {verdict: eligible, retryAt: t0.Add(1), pods: []Pod{pod("p", finished)}, wantWake: t0.Add(1)},
		"finished beside one that stands goes too":  {verdict: eligible, pods: []Pod{pod("p", finished), pod("q")}, want: []step{{Delete, "p", ReasonFinished}}},
		"excess: the older stays":                   {verdict: eligible, pods: []Pod{pod("p", younger), pod("q")}, want: []step{{Delete, "p", ReasonExcess}}},
		"excess: the bound stays":                   {verdict: eligible, pods: []Pod{pod("p", waiting), pod("q", younger)}, want: []step{{Delete, "p", ReasonExcess}}},
		"excess: the one that lives stays":          {verdict: eligible, pods: []Pod{pod("p", terminating), pod("q", waiting, younger)}},
		"excess: by name when all else is equal":    {verdict: eligible, pods: []Pod{pod("q"), pod("r"), pod("p")}, want: []step{{Delete, "q", ReasonExcess}, {Delete, "r", ReasonExcess}}},
		"minReadySeconds: look when it is over":     {verdict: eligible, minReady: 10 * time.Second, pods: []Pod{pod("p", readySince(t0.Add(-3*time.Second)))}, wantWake: t0.Add(7 * time.Second)},
		"minReadySeconds: just over":                {verdict: eligible, minReady: 10 * time.Second, pods: []Pod{pod("p", readySince(t0.Add(-10*time.Second)))}},
		"minReadySeconds: not ready, nothing to do": {verdict: eligible, minReady: 10 * time.Second, pods: []Pod{pod("p")}},
		"minReadySeconds: NoSchedule waits as well": {verdict: noSchedule, minReady: 10 * time.Second, pods: []Pod{pod("p", readySince(t0))}, wantWake: t0.Add(10 * time.Second)},
		"the earlier of two times counts":           {verdict: eligible, minReady: 10 * time.Second, retryAt: t0.Add(4 * time.Second), pods: []Pod{pod("p", readySince(t0)), pod("q", finished)}, wantWake: t0.Add(4 * time.Second)},
		"the earlier of two times, the other way":   {verdict: eligible, minReady: 2 * time.Second, retryAt: t0.Add(4 * time.Second), pods: []Pod{pod("p", readySince(t0)), pod("q", finished)}, wantWake: t0.Add(2 * time.Second)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r1", test.minReady, Strategy{OnDelete: true}, t0)
			if !test.nodeGone {
				cells.SetNode("n1", "a", test.verdict, t0)
			}
			for _, pod := range test.pods {
				cells.SetPod("n1", &pod, t0)
			}
			cell := cells.cell("n1")
			cell.setbacks = &setbacks{retryAt: test.retryAt}
			plan := planCell(&cell.Cell, &cells.terms, t0)

			var got []step
			for _, action := range plan.Actions {
				got = append(got, step{action.Op, action.Pod.Name, action.Reason})
				if action.Message == "" {
					t.Errorf("%s of %q gives no message", action.Op, action.Pod.Name)
				}
				if action.Op == Delete && action.Pod.UID != types.UID("uid-"+action.Pod.Name) {
					t.Errorf("Delete of %q carries UID %q (S5)", action.Pod.Name, action.Pod.UID)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("actions (-want, +got):\n%s", diff)
			}
			if !plan.WakeAt.Equal(test.wantWake) {
				t.Errorf("WakeAt = %v, want %v", plan.WakeAt, test.wantWake)
			}
		})
	}
}
