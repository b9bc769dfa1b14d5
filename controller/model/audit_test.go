package model

import (
	"testing"
	"time"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// Whatever the cells of a daemon missed is found, put right and planned for.
func TestAuditPutsRight(t *testing.T) {
	for name, test := range map[string]struct {
		miss func(*state, *Pod)
		want daemon.Counters
	}{
		"a node": {
			miss: func(s *state, _ *Pod) {
				s.nodes["n2"] = makeNode("n2")
				s.nodeNames.ReplaceOrInsert("n2")
			},
			want: daemon.Counters{Desired: 2, Current: 1, Ready: 1, Available: 1, Updated: 1},
		},
		"the end of a node": {
			miss: func(s *state, _ *Pod) {
				delete(s.nodes, "n1")
				s.nodeNames.Delete("n1")
			},
		},
		"a pod of a cell": {
			miss: func(s *state, pod *Pod) { delete(s.pods, pod.UID) },
			want: daemon.Counters{Desired: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, q, _ := newTestState()
			set, node := makeDaemon("d"), makeNode("n1")
			see(t, s, set)
			s.seeNode(node)
			pod := everynodeOnly.ObservePod(makePod(set, node, bound("n1"), ready(t0)))
			s.observePod(pod)
			if wrong := s.audit(keyOf(set)); len(wrong) > 0 {
				t.Fatalf("found %q before anything was missed", wrong)
			}
			q.Drain()
			test.miss(s, pod)
			if len(s.audit(keyOf(set))) == 0 {
				t.Fatal("nothing is found")
			}
			if _, got := countersOf(s, keyOf(set)); got != test.want {
				t.Errorf("counters are %+v, want %+v", got, test.want)
			}
			if plans, _ := q.Drain(); len(plans) == 0 {
				t.Error("no cell is planned")
			}
			if wrong := s.audit(keyOf(set)); len(wrong) > 0 {
				t.Errorf("found again: %q", wrong)
			}
		})
	}
}

// A pod that becomes available by waiting changes the status, also if the audit counts it first.
func TestAuditReportsWhatTimeChanged(t *testing.T) {
	s, q, clock := newTestState()
	set, node := makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 30 }), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	s.observePod(everynodeOnly.ObservePod(makePod(set, node, bound("n1"), ready(t0))))
	q.Drain()
	clock.Advance(30 * time.Second)
	if wrong := s.audit(keyOf(set)); len(wrong) > 0 {
		t.Errorf("found %q", wrong)
	}
	if _, reports := q.Drain(); len(reports) == 0 {
		t.Error("the status is not checked")
	}
}
