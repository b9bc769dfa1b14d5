package engine

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
)

// A heartbeat changes nothing that a verdict depends on, and must have no cost.
func TestSameNode(t *testing.T) {
	node := makeNode("n1", labelled("disk", "ssd"))
	tests := map[string]struct {
		change func(*corev1.Node)
		want   bool
	}{
		"heartbeat":      {change: func(n *corev1.Node) { n.ResourceVersion = "8" }, want: true},
		"no labels left": {change: func(n *corev1.Node) { n.Labels = nil }},
		"label":          {change: labelled("disk", "hdd")},
		"taint":          {change: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} }},
		"incarnation":    {change: incarnation("other")},
		"no taints":      {change: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{} }, want: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed := node.DeepCopy()
			test.change(changed)
			if got := sameNode(node, changed); got != test.want {
				t.Errorf("sameNode = %v, want %v", got, test.want)
			}
		})
	}
}

// Every kind of event, and a missed delete event, reaches the model.
func TestHandlersUpdateTheModel(t *testing.T) {
	cluster, q, _ := statetest.New()
	o := observing(cluster)
	daemons, nodes, pods, records := o.DaemonSets(), o.Nodes(), o.Pods(), o.ControllerRevisions()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := statetest.Everynode.ObservePod(makePod(set, node))
	cell, daemon := []string{"uid-d on n1"}, []types.UID{"uid-d"}

	tests := []struct {
		name        string
		event       func()
		wantPlans   []string
		wantReports []types.UID
	}{
		{"node added", func() { nodes.Added(node) }, nil, nil},
		{"daemon added", func() { daemons.Added(seenAs(set)) }, nil, daemon},
		{"its template recorded", func() { records.Added(fixture.Record(set)) }, cell, daemon},
		{"daemon's status changed", func() { daemons.Updated(seenAs(set), seenAs(makeDaemon("d"))) }, nil, daemon},
		{"daemon changed", func() { daemons.Updated(seenAs(set), seenAs(makeDaemon("d", generation(2)))) }, cell, daemon},
		{"heartbeat", func() { nodes.Updated(node, makeNode("n1")) }, nil, nil},
		{"node tainted", func() {
			nodes.Updated(node, makeNode("n1", func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoExecute}}
			}))
		}, cell, daemon},
		{"pod added", func() { pods.Added(pod) }, cell, daemon},
		{"pod bound", func() { pods.Updated(pod, statetest.Everynode.ObservePod(makePod(set, node, bound("n1")))) }, cell, daemon},
		{"pod deleted", func() { pods.Deleted(pod) }, nil, daemon}, // none may follow it
		{"pod deleted again", func() { pods.Added(pod); q.Drain(); pods.Deleted(pod) }, nil, daemon},
		{"node deleted", func() { nodes.Deleted(node) }, cell, daemon},
		{"record deleted", func() { records.Deleted(fixture.Record(set)) }, nil, nil},
		{"daemon deleted", func() { daemons.Deleted(seenAs(set)); q.Drain() }, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.event()
			q.Want(t, test.wantPlans, test.wantReports)
		})
	}
	if size := cluster.Size(); size > 0 {
		t.Errorf("the state has %d entries", size)
	}
}

// After a gap in the watch, a delete and a create under the same name arrive as one update.
func TestHandlersDistinguishReplacements(t *testing.T) {
	cluster, _, _ := statetest.New()
	o := observing(cluster)
	set, node := makeDaemon("d"), makeNode("n1")
	cluster.SeeNode(node)
	o.DaemonSets().Added(seenAs(set))
	cluster.SeeRevision(fixture.Record(set))
	pods := o.Pods()
	first, second := statetest.Everynode.ObservePod(makePod(set, node, podUID("1"))), statetest.Everynode.ObservePod(makePod(set, node, podUID("2")))
	pods.Added(first)
	pods.Updated(first, second)
	cluster.WantSteps(t, fixture.Key(set).On("n1")) // one pod, no excess
	pods.Deleted(second)
	cluster.WantSteps(t, fixture.Key(set).On("n1"), createStep)

	again := makeDaemon("d")
	again.UID = "uid-d-again"
	o.DaemonSets().Updated(seenAs(set), seenAs(again))
	cluster.SeeRevision(fixture.Record(again))
	cluster.WantSteps(t, fixture.Key(set).On("n1"))
	cluster.WantSteps(t, fixture.Key(again).On("n1"), createStep)
}

// While a daemon's status may not be written, requests for it do not wake the queue.
func TestStatusWaitsInItsQueue(t *testing.T) {
	s := newStage(t)
	key := fixture.Key(s.set)
	if _, err := s.engine.ReconcileStatus(t.Context(), key); err != nil || s.Statuses != 1 {
		t.Fatalf("%d writes, %v; want one", s.Statuses, err)
	}
	s.after = nil
	report := func() { s.state.Update(func(u model.Update) { u.Report(key) }) }
	report()
	s.clock.Advance(time.Second)
	report()
	if want := []time.Duration{time.Second, 0}; !slices.Equal(s.after, want) {
		t.Errorf("delayed by %v, want %v", s.after, want)
	}
}
