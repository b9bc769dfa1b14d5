package model

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// The name of a cell's next pod depends on the pod that left, in whatever order the pod, the DaemonSet and the node are seen: of two
// active controllers, one with late watches, both derive the same name.
func TestNextNameAfterALateWatch(t *testing.T) {
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node, bound("n1"))
	want := daemon.NewTemplate(workloadOf(set), "").PodNames("n1", string(pod.UID))
	daemonSet := func(t *testing.T, s *state) { see(t, s, set) }
	aNode := func(_ *testing.T, s *state) { s.seeNode(node) }
	comesAndGoes := func(_ *testing.T, s *state) { s.seePod(pod); s.forgetPod(pod) }
	for name, events := range map[string][]func(*testing.T, *state){
		"none is late":            {daemonSet, aNode, comesAndGoes},
		"the DaemonSet is late":   {aNode, comesAndGoes, daemonSet},
		"the node is late":        {daemonSet, comesAndGoes, aNode},
		"both are late":           {comesAndGoes, daemonSet, aNode},
		"the other way round":     {comesAndGoes, aNode, daemonSet},
		"the node was deleted":    {daemonSet, aNode, comesAndGoes, func(_ *testing.T, s *state) { s.forgetNode("n1") }, aNode},
		"it comes and goes twice": {comesAndGoes, comesAndGoes, aNode, daemonSet},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newTestState()
			for _, event := range events {
				event(t, s)
			}
			if task := s.task(keyOf(set).On("n1")); !slices.Equal(task.Names, want) {
				t.Errorf("the next pod gets the names %q, want %q", task.Names, want)
			}
			next := makePod(set, node, podUID("next"))
			s.seePod(next)
			s.forgetPod(next)
			if task, now := s.task(keyOf(set).On("n1")), daemon.NewTemplate(workloadOf(set), "").PodNames("n1", "next"); !slices.Equal(task.Names, now) {
				t.Errorf("after another pod has left, the next one gets the names %q, want %q", task.Names, now)
			}
			if left := len(s.departed.cells); left != 0 {
				t.Errorf("%d cells are still remembered", left)
			}
		})
	}
}

// Nothing is remembered of a deleted DaemonSet, whose UID never returns.
func TestDeletedDaemonIsNotRemembered(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node, bound("n1"))
	see(t, s, set)
	s.seeNode(node)
	s.seePod(pod)
	s.forgetDaemon(keyOf(set))
	s.forgetPod(pod)
	if len(s.departed.cells) != 0 || s.Size() != 4 {
		t.Errorf("%d cells are remembered, and %d other things, want the node with its name and a record with its name", len(s.departed.cells), s.Size())
	}
}

// What is remembered is bounded, whatever owners pods claim to have: the oldest is forgotten first.
func TestDepartedIsBounded(t *testing.T) {
	var d departed
	cell := func(i int) daemon.CellKey {
		return daemon.WorkloadKey{Namespace: "ns", UID: types.UID(fmt.Sprint("uid-", i))}.On("n")
	}
	d.add(cell(0), "a")
	d.drop(cell(0))
	d.add(cell(0), "b") // in another place of the ring
	for i := 1; i < 3*maxDeparted; i++ {
		d.add(cell(i), "x")
		d.add(cell(i), "y")
		if i == maxDeparted-2 && d.after(cell(0)) != "b" {
			t.Error("a cell is forgotten, and there was room")
		}
	}
	if len(d.cells) != maxDeparted || len(d.ring) != maxDeparted {
		t.Errorf("%d cells are remembered in a ring of %d, want %d", len(d.cells), len(d.ring), maxDeparted)
	}
	for i := range 3 * maxDeparted {
		want := "y"
		if i < 2*maxDeparted {
			want = ""
		}
		if got := d.after(cell(i)); got != want {
			t.Fatalf("cell %d: %q is remembered, want %q", i, got, want)
		}
	}
}
