package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/controller/fixture"
)

// Before everything was seen nothing is planned, in whatever order things come; then what is due is,
// and what has all it needs is not.
func TestModelBeginsWithWhatIsDue(t *testing.T) {
	set, has, without := makeDaemon("d"), makeNode("n1"), makeNode("n2")
	steps := map[string]func(*state){
		"daemon": func(s *state) { see(t, s, set) },
		"nodes":  func(s *state) { s.seeNode(has); s.seeNode(without) },
		"pods": func(s *state) {
			s.seePod(makePod(set, has, bound("n1"), ready(t0)))
			s.seePod(makePod(set, makeNode("gone"), bound("gone")))
		},
		"relabelled": func(s *state) { s.seePod(makePod(set, makeNode("lost"), relabelled)) },
		"orphan": func(s *state) {
			orphan := makePod(set, makeNode("n3"), bound("n3"))
			orphan.OwnerReferences = nil
			s.seeNode(makeNode("n3"))
			s.seePod(orphan)
		},
	}
	for _, order := range [][]string{
		{"daemon", "nodes", "pods", "orphan", "relabelled"},
		{"relabelled", "orphan", "pods", "nodes", "daemon"},
		{"nodes", "daemon", "relabelled", "orphan", "pods"},
	} {
		q := &fixture.Queues{}
		s := newState((&clock{Time: t0}).Now, q)
		for _, step := range order {
			steps[step](s)
		}
		if plans, _ := q.Drain(); len(plans) > 0 {
			t.Errorf("%v: %q are planned before everything was seen", order, plans)
		}
		s.begin()
		plans, _ := q.Drain()
		// One has to go, the next has to be released and its node is gone too, n2 has none, and n3's is to adopt.
		want := []string{"uid-d on gone", "uid-d on lost", "uid-d on n2", "uid-d on n3"}
		if diff := cmp.Diff(want, plans); diff != "" {
			t.Errorf("%v: planned (-want, +got):\n%s", order, diff)
		}
		see(t, s, makeDaemon("d", generation(2)))
		if plans, _ := q.Drain(); len(plans) != 5 {
			t.Errorf("%v: of a new generation %q are planned, want every cell", order, plans)
		}
	}
}

// The name of a node's next pod depends on the pod that was seen to leave, also if its node was not seen yet. Cells that
// turn out to have no node are dropped once everything was seen.
func TestPodsThatLeaveDuringTheStartAreRemembered(t *testing.T) {
	set, node := makeDaemon("d"), makeNode("n1")
	s := newState((&clock{Time: t0}).Now, &fixture.Queues{})
	for _, on := range []string{"n1", "gone"} {
		pod := makePod(set, makeNode(on), podUID(types.UID("pod-"+on)))
		s.seePod(pod)
		s.forgetPod(pod)
	}
	s.seeNode(node)
	see(t, s, set)
	s.begin()
	cells := &s.daemons[keyOf(set)].cells
	if got := cells.After("n1"); got != "pod-n1" {
		t.Errorf("the next pod comes after %q, want pod-n1", got)
	}
	wantStrings(t, "cells", []string{"n1"}, cells.NodesAfter("", 10))
}

// A DaemonSet that is gone leaves nothing behind if its pods were gone before everything was seen.
func TestPodsThatLeaveDuringTheStartLeaveNothing(t *testing.T) {
	set := makeDaemon("d")
	s := newState((&clock{Time: t0}).Now, &fixture.Queues{})
	s.seePod(makePod(set, makeNode("n1")))
	s.forgetPod(makePod(set, makeNode("n1")))
	s.begin()
	if size := s.Size(); size != 0 {
		t.Errorf("%d objects are left", size)
	}
}
