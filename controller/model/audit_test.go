package model

import (
	"testing"

	"github.com/everynode/everynode/internal/daemon"
)

// Whatever the cells of a daemon missed is found, put right and planned for.
func TestAuditPutsRight(t *testing.T) {
	for name, test := range map[string]struct {
		miss func(*world, *Pod)
		want daemon.Counters
	}{
		"a node": {
			miss: func(w *world, _ *Pod) {
				w.nodes["n2"] = makeNode("n2")
				w.nodeNames.ReplaceOrInsert("n2")
			},
			want: daemon.Counters{Desired: 2, Current: 1, Ready: 1, Available: 1, Updated: 1},
		},
		"the end of a node": {
			miss: func(w *world, _ *Pod) {
				delete(w.nodes, "n1")
				w.nodeNames.Delete("n1")
			},
		},
		"a pod of a cell": {
			miss: func(w *world, pod *Pod) { delete(w.pods, pod.UID) },
			want: daemon.Counters{Desired: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, q, _ := newTestWorld()
			set, node := makeDaemon("d"), makeNode("n1")
			see(t, w, set)
			w.nodeSeen(node)
			pod := everynodeOnly.ObservePod(makePod(set, node, bound("n1"), ready(t0)))
			w.podIs(pod)
			if wrong := w.audit(keyOf(set)); len(wrong) > 0 {
				t.Fatalf("found %q before anything was missed", wrong)
			}
			q.drain()
			test.miss(w, pod)
			if len(w.audit(keyOf(set))) == 0 {
				t.Fatal("nothing is found")
			}
			if _, got := countersOf(w, keyOf(set)); got != test.want {
				t.Errorf("counters are %+v, want %+v", got, test.want)
			}
			if plans, _ := q.drain(); len(plans) == 0 {
				t.Error("no cell is planned")
			}
			if wrong := w.audit(keyOf(set)); len(wrong) > 0 {
				t.Errorf("found again: %q", wrong)
			}
		})
	}
}
