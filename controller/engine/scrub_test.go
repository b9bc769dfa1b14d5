package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// scrubbed returns a state with one daemon and a pod on n1, and the cache that it was filled from.
func scrubbed(t *testing.T) (*scrubber, *statetest.State, *fixture.Queues, *clock, toolscache.Store, *model.Pod) {
	t.Helper()
	cluster, q, c := statetest.New()
	set := makeDaemon("d")
	cluster.See(t, set)
	cluster.SeeNode(makeNode("n1"))
	pod := statetest.Everynode.ObservePod(makePod(set, makeNode("n1"), bound("n1"), ready(t0)))
	cluster.Update(func(u model.Update) { u.SeePod(pod) })
	store := toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	if err := store.Add(pod); err != nil {
		t.Fatal(err)
	}
	q.Drain()
	return &scrubber{state: cluster.State, pods: store}, cluster, q, c, store, pod
}

var scrubbedKey = daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}

func TestScrubFindsNothing(t *testing.T) {
	s, _, q, _, _, _ := scrubbed(t)
	if wrong := append(s.compare(), s.audit(scrubbedKey)...); len(wrong) > 0 {
		t.Errorf("found %q", wrong)
	}
	if plans, _ := q.Drain(); len(plans) > 0 {
		t.Errorf("cells %q are planned unnecessarily", plans)
	}
}

// Whatever the model missed is found, counted, corrected and planned.
func TestScrubCorrects(t *testing.T) {
	for name, test := range map[string]struct {
		miss  func(*testing.T, toolscache.Store, *model.Pod)
		want  daemon.Counters
		rests bool // the cell needs no step
	}{
		"a change of a pod": {
			miss: func(t *testing.T, store toolscache.Store, pod *model.Pod) {
				changed := *pod
				changed.Ready, changed.Version = false, "2"
				if err := store.Update(&changed); err != nil {
					t.Fatal(err)
				}
			},
			want:  daemon.Counters{Desired: 1, Current: 1, Updated: 1},
			rests: true,
		},
		"the end of a pod": {
			miss: func(t *testing.T, store toolscache.Store, pod *model.Pod) {
				if err := store.Delete(pod); err != nil {
					t.Fatal(err)
				}
			},
			want: daemon.Counters{Desired: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, cluster, q, c, store, pod := scrubbed(t)
			before := testutil.ToFloat64(cellDrift)
			test.miss(t, store, pod)
			look := func() int {
				wrong := append(s.compare(), s.audit(scrubbedKey)...)
				s.report(t.Context(), scrubbedKey, wrong)
				return len(wrong)
			}
			if found := look(); found > 0 {
				t.Errorf("%d differences are found before the event may be late", found)
			}
			c.Advance(scrubPatience + time.Second)
			if look() == 0 || testutil.ToFloat64(cellDrift) == before {
				t.Fatal("no difference was found, or it was not counted")
			}
			if _, health := cluster.Health(scrubbedKey); health.Counters != test.want {
				t.Errorf("counters are %+v, want %+v", health.Counters, test.want)
			}
			if plans, _ := q.Drain(); len(plans) == 0 != test.rests {
				t.Errorf("cells to plan %v; is there nothing to do: %v", plans, test.rests)
			}
			if found := look(); found > 0 {
				t.Errorf("%d differences are found again", found)
			}
		})
	}
}

// An event that is in flight at every check is a different one each time, and none of them is late.
func TestScrubWaitsForEachChange(t *testing.T) {
	s, _, _, c, store, pod := scrubbed(t)
	for look := range 3 {
		changed := *pod
		changed.Version = fmt.Sprint(look)
		if err := store.Update(&changed); err != nil {
			t.Fatal(err)
		}
		if wrong := s.compare(); len(wrong) > 0 {
			t.Errorf("check %d: found %q while the event is in flight", look, wrong)
		}
		s.state.Update(func(u model.Update) { u.SeePod(&changed) })
		c.Advance(scrubPatience + time.Second)
	}
}

// A list after a gap in the watch puts every pod into the cache again, and there is no event for one
// that did not change.
func TestScrubKnowsAPodByItsVersion(t *testing.T) {
	s, _, _, c, store, pod := scrubbed(t)
	again := *pod
	if err := store.Update(&again); err != nil {
		t.Fatal(err)
	}
	for look := range 2 {
		if wrong := s.compare(); len(wrong) > 0 {
			t.Errorf("check %d: found %q", look, wrong)
		}
		c.Advance(scrubPatience + time.Second)
	}
}
