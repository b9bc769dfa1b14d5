package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// described are a plan's actions in short.
func described(plan Plan) []string {
	var steps []string
	for _, action := range plan.Actions {
		step := fmt.Sprintf("%s: %s", action.Op, action.Reason)
		if action.Op == Delete {
			step = fmt.Sprintf("%s %s: %s", action.Op, action.Pod.Name, action.Reason)
		}
		steps = append(steps, step)
	}
	return steps
}

// Whatever finished pods and however many there are on a node, one pod is left or made.
func TestPlanLeavesOnePod(t *testing.T) {
	tests := map[string]struct {
		finished, standing    int
		wantMade, wantDeleted int
	}{
		"none: one is made": {wantMade: 1},
		"one stands":        {standing: 1},
		"one finished: its successor is made next":    {finished: 1, wantDeleted: 1},
		"one finished, three stand":                   {finished: 1, standing: 3, wantDeleted: 3},
		"two stand":                                   {standing: 2, wantDeleted: 1},
		"five stand":                                  {standing: 5, wantDeleted: 4},
		"all have finished: its successor comes next": {finished: 3, wantDeleted: 3},
	}
	for name, test := range tests {
		for as, strategy := range map[string]Strategy{"OnDelete": {OnDelete: true}, "one unavailable": unavailable("1"), "one surges": surge("1")} {
			t.Run(name+", "+as, func(t *testing.T) {
				var cells Cells
				cells.SetTemplate("r1", 0, strategy, t0)
				cells.SetNode("n1", "a", eligible, t0)
				for i := range test.finished + test.standing {
					cells.SetPod("n1", &Pod{
						Name: fmt.Sprint(i), UID: types.UID(fmt.Sprint(i)), Revision: "r1",
						Finished: i < test.finished, Created: t0.Add(time.Duration(i)),
					}, t0)
				}
				made, deleted := 0, 0
				for _, action := range cells.Plan("n1", t0).Actions {
					if action.Op == Create {
						made++
						continue
					}
					if deleted++; !action.Pod.Finished && action.Pod.Name == fmt.Sprint(test.finished) {
						t.Error("the oldest of those that stand goes")
					}
				}
				if made != test.wantMade || deleted != test.wantDeleted {
					t.Errorf("%d made, %d deleted, want %d and %d", made, deleted, test.wantMade, test.wantDeleted)
				}
			})
		}
	}
}

// While the daemon surges a node may have an old pod and a new one; every other one is too many.
func TestPlanCellSurging(t *testing.T) {
	const minReady = 15 * time.Second
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	pod := func(name, revision string, created int, change ...func(*Pod)) Pod {
		made := Pod{Name: name, UID: types.UID(name), Revision: revision, Created: at(created), Bound: true}
		for _, c := range change {
			c(&made)
		}
		return made
	}
	readyFor := func(age time.Duration) func(*Pod) {
		return func(p *Pod) { p.Ready, p.ReadySince = true, at(200).Add(-age) }
	}
	ready := readyFor(time.Hour)
	terminating := func(p *Pod) { p.Terminating = true }
	finished := func(p *Pod) { p.Finished = true }
	waiting := func(p *Pod) { p.Bound, p.NodeUID = false, "a" }
	surges := func(p *Pod) { p.Surges = true }

	tests := map[string]struct {
		verdict  Verdict
		pods     []Pod
		want     []string
		wantWake time.Time
	}{
		"the old one serves until the new one is ready": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready), pod("new", "r2", 100)},
		},
		// A controller that did not know of the old one made it. The scheduler lets only a surge stand beside that.
		"a new one that cannot be placed beside the old one goes": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready), pod("new", "r2", 100, waiting)},
			want: []string{"Delete new: Excess"},
		},
		"a new one that was made to surge waits": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready), pod("new", "r2", 100, waiting, surges)},
		},
		"two have the cell: a third is not made": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready, terminating), pod("older", "r0", 40, terminating)},
		},
		"one that has finished and terminates does not count": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, terminating, finished)},
			want: []string{"Create: Missing"},
		},
		"a third goes: the younger of the old ones": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100), pod("old", "r1", 50, ready), pod("younger", "r1", 60, ready)},
			want: []string{"Delete younger: Excess"},
		},
		"a third goes: the younger of the new ones": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100), pod("younger", "r2", 110), pod("old", "r1", 50, ready)},
			want: []string{"Delete younger: Excess"},
		},
		"an old one that is not ready goes when a new one is there": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100), pod("old", "r1", 50)},
			want: []string{"Delete old: Outdated"},
		},
		// Upstream keeps the oldest first and asks for readiness then, so that both old ones go
		// and the node serves no more. Here the ready one is the one that stays.
		"of two old ones the ready one serves on": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100), pod("unready", "r1", 50), pod("ready", "r1", 60, ready)},
			want: []string{"Delete unready: Excess"},
		},
		"the new one is ready, and not for long enough": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100, readyFor(10*time.Second)), pod("old", "r1", 50, ready), pod("younger", "r1", 60, ready)},
			want: []string{"Delete younger: Excess"}, wantWake: at(205),
		},
		"the new one is ready for long enough": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100, readyFor(20*time.Second)), pod("old", "r1", 50, ready), pod("younger", "r1", 60, ready)},
			want: []string{"Delete younger: Excess", "Delete old: HandedOver"},
		},
		"two of the current revision: the younger goes": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 100), pod("younger", "r2", 101)},
			want: []string{"Delete younger: Excess"},
		},
		"an old one without a permit stays alone": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready)},
		},
		"a finished new one is not the one that takes over": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready), pod("new", "r2", 100, finished)},
			want: []string{"Delete new: PodFinished"},
		},
		"a finished new one is no reason for an old one to go": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50), pod("new", "r2", 100, finished)},
			want: []string{"Delete new: PodFinished"},
		},
		"the new one ends: the old one serves on": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready), pod("new", "r2", 100, ready, terminating)},
		},
		"all that is there is an old one that ends: its successor need not wait": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, ready, terminating)},
			want: []string{"Create: Surge"},
		},
		"all that is there is a new one that ends: there is one of a revision at a time": {
			verdict: eligible, pods: []Pod{pod("new", "r2", 50, ready, terminating)},
		},
		"an old one and a new one end: there are two at a time": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, terminating), pod("new", "r2", 100, terminating)},
		},
		"an old one of a former node ends": {
			verdict: eligible, pods: []Pod{pod("old", "r1", 50, terminating, func(p *Pod) { p.NodeUID = "former" })},
		},
		"an old one ends on a node that takes none any more": {
			verdict: noSchedule, pods: []Pod{pod("old", "r1", 50, terminating)},
		},
		"the node takes none any more: the best of all stays": {
			verdict: noSchedule, pods: []Pod{pod("old", "r1", 50, ready), pod("new", "r2", 100)},
			want: []string{"Delete new: Excess"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r2", minReady, surge("1"), at(200))
			cells.SetNode("n1", "a", test.verdict, at(200))
			for _, pod := range test.pods {
				cells.SetPod("n1", &pod, at(200))
			}
			plan := cells.Plan("n1", at(200))
			if diff := cmp.Diff(test.want, described(plan)); diff != "" {
				t.Errorf("actions (-want, +got):\n%s", diff)
			}
			if !plan.WakeAt.Equal(test.wantWake) {
				t.Errorf("WakeAt = %v, want %v", plan.WakeAt, test.wantWake)
			}
		})
	}
}

// A pod is of the revision that its label names, and of none without one.
func TestUpdatedIsToldByTheLabel(t *testing.T) {
	tests := map[string]struct {
		labels map[string]string
		want   int
	}{
		"the current one":     {labels: map[string]string{"controller-revision-hash": "r2"}, want: 1},
		"another one":         {labels: map[string]string{"controller-revision-hash": "r1"}},
		"an empty one":        {labels: map[string]string{"controller-revision-hash": ""}},
		"a longer one":        {labels: map[string]string{"controller-revision-hash": "r2123"}},
		"another label":       {labels: map[string]string{"pod-template-generation": "r2"}},
		"no label at all":     {},
		"the generation, too": {labels: map[string]string{"pod-template-generation": "1", "controller-revision-hash": "r2"}, want: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r2", 0, unavailable("1"), t0)
			cells.SetNode("n1", "a", eligible, t0)
			pod := ObservePod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p", Labels: test.labels}})
			cells.SetPod("n1", &pod, t0)
			if got := cells.Counters(); got.Updated != test.want || got.Current != 1 {
				t.Errorf("%d of %d pods are up to date, want %d of 1", got.Updated, got.Current, test.want)
			}
		})
	}
}
