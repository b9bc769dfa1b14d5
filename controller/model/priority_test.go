package model

import (
	"testing"

	"github.com/everynode/everynode/api/v1alpha1"
)

// On a node that joins, each daemon's cell is enqueued with the priority that its pods will have.
func TestModelRanksCells(t *testing.T) {
	s, q, _ := newTestState()
	s.seeClass(class("network", 1000, false))
	network, late, plain, unknown := makeDaemon("network", ofClass("network")), makeDaemon("late", ofClass("late")), makeDaemon("plain"), makeDaemon("unknown", ofClass("no-such-class"))
	for _, set := range []*v1alpha1.DaemonSet{network, late, plain, unknown} {
		see(t, s, set)
	}
	s.seeClass(class("late", 500, false)) // known after its daemon
	s.seeClass(class("standard", 7, true))
	want := func(when string, ranks map[*v1alpha1.DaemonSet]int32, node string) {
		t.Helper()
		s.seeNode(makeNode(node))
		for set, rank := range ranks {
			if got := q.Ranks[keyOf(set).On(node)]; got != rank {
				t.Errorf("%s: %s has rank %d, want %d", when, set.Name, got, rank)
			}
		}
	}
	want("with a default class", map[*v1alpha1.DaemonSet]int32{network: 1000, late: 500, plain: 7, unknown: 0}, "n1")
	s.seeClass(class("standard", 7, false))
	want("when it is no default any more", map[*v1alpha1.DaemonSet]int32{plain: 0}, "n2")
	s.seeClass(class("standard", 7, true))
	s.forgetClass("standard")
	s.forgetClass("late")
	want("when classes are gone", map[*v1alpha1.DaemonSet]int32{network: 1000, late: 0, plain: 0}, "n3")
}
