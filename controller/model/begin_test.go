package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
		"orphan": func(s *state) {
			orphan := makePod(set, makeNode("n3"), bound("n3"))
			orphan.OwnerReferences = nil
			s.seeNode(makeNode("n3"))
			s.seePod(orphan)
		},
	}
	for _, order := range [][]string{
		{"daemon", "nodes", "pods", "orphan"},
		{"orphan", "pods", "nodes", "daemon"},
		{"nodes", "daemon", "orphan", "pods"},
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
		want := []string{"uid-d on gone", "uid-d on n2", "uid-d on n3"} // has to go, has none, is to adopt
		if diff := cmp.Diff(want, plans); diff != "" {
			t.Errorf("%v: planned (-want, +got):\n%s", order, diff)
		}
		see(t, s, makeDaemon("d", generation(2)))
		if plans, _ := q.Drain(); len(plans) != 4 {
			t.Errorf("%v: of a new generation %q are planned, want every cell", order, plans)
		}
	}
}
