package daemon

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConditions(t *testing.T) {
	tests := map[string]struct {
		health Health
		want   []string
	}{
		"no nodes": {
			health: Health{},
			want: []string{
				"Available=True NoEligibleNodes: no node is eligible",
				"Progressing=False Complete: 0 of 0 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing keeps pods from being made",
			},
		},
		"all well": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Updated: 5}},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=False Complete: 5 of 5 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing keeps pods from being made",
			},
		},
		"rolling out": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Updated: 2}, MaxUnavailable: 1, Lack: 1, Lacking: []string{"n3"}},
			want: []string{
				"Available=True WithinMaxUnavailable: 4 of 5 nodes have an available pod, 1 may be without; without: n3",
				"Progressing=True RollingOut: 2 of 5 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing keeps pods from being made",
				"Reconciling=True RollingOut: 2 of 5 nodes have a pod of the current template",
			},
		},
		"OnDelete waits for the user": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Updated: 2}, OnDelete: true},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=False OnDelete: 2 of 5 nodes have a pod of the current template; the strategy is OnDelete: the others get one when theirs is deleted",
				"Degraded=False AsExpected: nothing keeps pods from being made",
			},
		},
		"refused": {
			health: Health{
				Counters: Counters{Desired: 5, Current: 0}, MaxUnavailable: 1, Lack: 5, Lacking: []string{"n1", "n2", "n3"},
				Problems: map[string]Problem{"n2": {Reason: "B", Message: "b"}, "n1": {Reason: "FailedCreate", Message: "exceeded quota"}},
			},
			want: []string{
				"Available=False NodesUnavailable: 0 of 5 nodes have an available pod; without: n1, n2, n3 and 2 more",
				"Progressing=True PodsMissing: 0 of 5 nodes have a pod; without an available one: n1, n2, n3 and 2 more",
				"Degraded=True FailedCreate: n1, n2: exceeded quota",
				"Reconciling=True PodsMissing: 0 of 5 nodes have a pod; without an available one: n1, n2, n3 and 2 more",
				"Stalled=True FailedCreate: n1, n2: exceeded quota",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, condition := range test.health.Conditions() {
				got = append(got, fmt.Sprintf("%s=%s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("conditions (-want, +got):\n%s", diff)
			}
		})
	}
}

// The nodes that a condition names are kept by deltas, as the sums are.
func TestHealthNamesTheFirstNodes(t *testing.T) {
	c := newCluster(t, 6, unavailable("2"))
	if health := c.cells.Health(); health.Lack != 0 || len(health.Lacking) != 0 {
		t.Fatalf("%+v, want nothing lacking", health)
	}
	for _, node := range []string{"n5", "n1", "n4", "n2"} {
		pod := c.podsOn(node)[0]
		pod.Ready = false
		c.tell(pod)
	}
	health := c.cells.Health()
	if diff := cmp.Diff([]string{"n1", "n2", "n4"}, health.Lacking); diff != "" || health.Lack != 4 || health.MaxUnavailable != 2 {
		t.Errorf("%+v (-want, +got):\n%s", health, diff)
	}
	c.cells.RemoveNode("n1", c.now)
	c.gone(c.podsOn("n1")[0])
	c.ready(c.podsOn("n2")[0])
	if diff := cmp.Diff([]string{"n4", "n5"}, c.cells.Health().Lacking); diff != "" {
		t.Errorf("lacking (-want, +got):\n%s", diff)
	}
}
