package status

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Status counts existing pods: those that wait for their node are current, and those
// whose containers run are ready.
func TestStatusFollowsThePods(t *testing.T) {
	d := newDesk(t)
	set := makeDaemon("d")
	var nodes []*corev1.Node
	for i := range 5 {
		nodes = append(nodes, makeNode(fmt.Sprintf("n%d", i)))
		d.state.SeeNode(nodes[i])
	}
	want := v1alpha1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 5, NumberUnavailable: 5}
	check := func(when string) {
		t.Helper()
		d.clock.Advance(time.Second)
		d.report(t)
		d.informed(t)
		got := d.stored(t).Status
		got.Conditions = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("status when %s (-want, +got):\n%s", when, diff)
		}
	}
	check("there are no pods")
	for _, node := range nodes {
		d.state.SeePod(makePod(set, node))
	}
	want.CurrentNumberScheduled, want.UpdatedNumberScheduled = 5, 5
	check("pods wait for their nodes")
	for _, node := range nodes[:2] {
		d.state.SeePod(makePod(set, node, bound(node.Name), ready(t0)))
	}
	want.NumberReady, want.NumberAvailable, want.NumberUnavailable = 2, 2, 3
	check("two are ready")
	d.state.SeeNode(makeNode("n0", tainted(corev1.TaintEffectNoSchedule)))
	want.DesiredNumberScheduled, want.CurrentNumberScheduled, want.UpdatedNumberScheduled = 4, 4, 4
	want.NumberMisscheduled, want.NumberReady, want.NumberAvailable = 1, 1, 1
	check("a node is tainted")
}
