package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// A heartbeat changes nothing that a verdict depends on, and must cost nothing.
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

// Every kind of event, and a delete event that was missed, comes to the model.
func TestHandlersTellTheWorld(t *testing.T) {
	w, q, _ := newTestWorld()
	o := &observer{world: w, refusals: newRefusals(time.Now), owners: newOwners(w, nil, time.Now)}
	daemons, nodes, pods := o.daemonHandler(t.Context()), o.nodeHandler(), o.podHandler()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := everynodeOnly.ObservePod(makePod(set, node))
	missed := func(object any) any { return toolscache.DeletedFinalStateUnknown{Key: "k", Obj: object} }
	cell, daemon := []string{"uid-d on n1"}, []types.UID{"uid-d"}

	tests := []struct {
		name        string
		event       func()
		wantPlans   []string
		wantReports []types.UID
	}{
		{"node added", func() { nodes.OnAdd(node, true) }, nil, nil},
		{"daemon added", func() { daemons.OnAdd(seenAs(set), true) }, cell, daemon},
		{"daemon's status changed", func() { daemons.OnUpdate(seenAs(set), seenAs(makeDaemon("d"))) }, nil, daemon},
		{"daemon changed", func() { daemons.OnUpdate(seenAs(set), seenAs(makeDaemon("d", generation(2)))) }, cell, daemon},
		{"heartbeat", func() { nodes.OnUpdate(node, makeNode("n1")) }, nil, nil},
		{"node tainted", func() {
			nodes.OnUpdate(node, makeNode("n1", func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoExecute}}
			}))
		}, cell, daemon},
		{"pod added", func() { pods.OnAdd(pod, false) }, cell, daemon},
		{"pod bound", func() { pods.OnUpdate(pod, everynodeOnly.ObservePod(makePod(set, node, bound("n1")))) }, cell, daemon},
		{"pod deleted", func() { pods.OnDelete(pod) }, nil, daemon}, // none may follow it
		{"pod deleted again", func() { pods.OnAdd(pod, false); q.drain(); pods.OnDelete(missed(pod)) }, nil, daemon},
		{"node deleted", func() { nodes.OnDelete(missed(node)) }, cell, daemon},
		{"daemon deleted", func() { daemons.OnDelete(missed(seenAs(set))); q.drain() }, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.event()
			wantQueued(t, q, test.wantPlans, test.wantReports)
		})
	}
	if size := w.model.Size(); size > 0 {
		t.Errorf("%d entries are remembered", size)
	}
}

// After a gap in the watch, a delete and a create under the same name come as one update.
func TestHandlersTellUpdatesFromReplacements(t *testing.T) {
	w, _, _ := newTestWorld()
	o := &observer{world: w, refusals: newRefusals(time.Now), owners: newOwners(w, nil, time.Now)}
	set, node := makeDaemon("d"), makeNode("n1")
	w.nodeSeen(node)
	o.daemonHandler(t.Context()).OnAdd(seenAs(set), true)
	pods := o.podHandler()
	first, second := everynodeOnly.ObservePod(makePod(set, node, podUID("1"))), everynodeOnly.ObservePod(makePod(set, node, podUID("2")))
	pods.OnAdd(first, false)
	pods.OnUpdate(first, second)
	wantSteps(t, w, model.KeyOf(set).On("n1")) // one pod, no excess
	pods.OnDelete(second)
	wantSteps(t, w, model.KeyOf(set).On("n1"), createStep)

	anew := makeDaemon("d")
	anew.UID = "uid-d-anew"
	o.daemonHandler(t.Context()).OnUpdate(seenAs(set), seenAs(anew))
	wantSteps(t, w, model.KeyOf(set).On("n1"))
	wantSteps(t, w, model.KeyOf(anew).On("n1"), createStep)
}

// The queue gives cells of higher priority first, whatever came first.
func TestCellsAreQueuedByPriority(t *testing.T) {
	queue := priorityqueue.New[daemon.CellKey]("test")
	defer queue.ShutDown()
	o := newObserver(everynodeOnly, nil)
	if err := (cellSource{o}).Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	for _, priority := range []int32{5, 2000001000, -1, 100} {
		o.planCell(daemon.CellKey{Node: fmt.Sprint(priority)}, priority)
	}
	var got []string
	for range 4 {
		cell, _ := queue.Get()
		got = append(got, cell.Node)
		queue.Done(cell)
	}
	wantStrings(t, "nodes by priority", []string{"2000001000", "100", "5", "-1"}, got)
}

// delays keeps what is added to a queue, and for how long each is put off.
type delays struct {
	workqueue.TypedRateLimitingInterface[model.DaemonKey]
	after []time.Duration
}

func (d *delays) AddAfter(_ model.DaemonKey, after time.Duration) { d.after = append(d.after, after) }

// While a daemon's status may not be written, asking for it costs no pass of the queue.
func TestStatusWaitsInItsQueue(t *testing.T) {
	o := newObserver(everynodeOnly, nil)
	queue, left := &delays{}, 3*time.Second
	o.status.TypedRateLimitingInterface = queue
	o.status.wait = func(model.DaemonKey) time.Duration { return left }
	report := o.enqueuers().status
	report(model.DaemonKey{})
	left = 0
	report(model.DaemonKey{})
	if want := []time.Duration{3 * time.Second, 0}; !slices.Equal(queue.after, want) {
		t.Errorf("put off for %v, want %v", queue.after, want)
	}
}
