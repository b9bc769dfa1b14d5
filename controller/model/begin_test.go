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
