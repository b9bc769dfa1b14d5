package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Before everything was seen nothing is planned, in whatever order things come; then what is due is,
// and what has all it needs is not.
func TestWorldBeginsWithWhatIsDue(t *testing.T) {
	set, has, without := makeDaemon("d"), makeNode("n1"), makeNode("n2")
	steps := map[string]func(*world){
		"daemon": func(w *world) { see(t, w, set) },
		"nodes":  func(w *world) { w.nodeSeen(has); w.nodeSeen(without) },
		"pods": func(w *world) {
			w.podSeen(makePod(set, has, bound("n1"), ready(t0)))
			w.podSeen(makePod(set, makeNode("gone"), bound("gone")))
		},
		"orphan": func(w *world) {
			orphan := makePod(set, makeNode("n3"), bound("n3"))
			orphan.OwnerReferences = nil
			w.nodeSeen(makeNode("n3"))
			w.podSeen(orphan)
		},
	}
	for _, order := range [][]string{
		{"daemon", "nodes", "pods", "orphan"},
		{"orphan", "pods", "nodes", "daemon"},
		{"nodes", "daemon", "orphan", "pods"},
	} {
		q := &queues{}
		w := newWorld((&clock{Time: t0}).Now, q)
		for _, step := range order {
			steps[step](w)
		}
		if plans, _ := q.drain(); len(plans) > 0 {
			t.Errorf("%v: %q are planned before everything was seen", order, plans)
		}
		w.begin()
		plans, _ := q.drain()
		want := []string{"uid-d on gone", "uid-d on n2", "uid-d on n3"} // has to go, has none, is to adopt
		if diff := cmp.Diff(want, plans); diff != "" {
			t.Errorf("%v: planned (-want, +got):\n%s", order, diff)
		}
		see(t, w, makeDaemon("d", generation(2)))
		if plans, _ := q.drain(); len(plans) != 4 {
			t.Errorf("%v: of a new generation %q are planned, want every cell", order, plans)
		}
	}
}
