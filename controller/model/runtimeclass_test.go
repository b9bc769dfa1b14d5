package model

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

func ofRuntimeClass(name string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.RuntimeClassName = &name }
}

func runtimeClass(name, key, value string) *nodev1.RuntimeClass {
	return &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{key: value}}}
}

// A RuntimeClass concerns the daemons whose template names it, on the nodes where there is something to do, and no native one.
func TestRuntimeClassWakesItsDaemons(t *testing.T) {
	s, q, _ := newTestState()
	s.kinds.Apps = true
	sandboxed, other, native := makeDaemon("sandboxed", ofRuntimeClass("gvisor")), makeDaemon("other", ofRuntimeClass("kata")), makeDaemon("native", nativeKind, ofRuntimeClass("gvisor"))
	for _, set := range []*v1alpha1.DaemonSet{sandboxed, other, native} {
		see(t, s, set)
	}
	s.seeNode(makeNode("n1", labelled("sandbox", "yes")))
	s.seeNode(makeNode("n2"))
	q.Drain()

	s.seeRuntimeClass(runtimeClass("gvisor", "sandbox", "yes"))
	q.Want(t, []string{"uid-sandboxed on n1"}, []types.UID{"uid-sandboxed"})
	s.seeRuntimeClass(runtimeClass("gvisor", "sandbox", "yes"))
	s.seeRuntimeClass(runtimeClass("nobodys", "sandbox", "yes"))
	q.Want(t, nil, nil)
	wantDesired := func(set *v1alpha1.DaemonSet, want int) {
		t.Helper()
		if _, got := countersOf(s, keyOf(set)); got.Desired != want {
			t.Errorf("%s: %d nodes are eligible, want %d", set.Name, got.Desired, want)
		}
	}
	wantDesired(sandboxed, 1)
	wantDesired(other, 2)

	// One that names the class later, or another one, is judged by it.
	see(t, s, makeDaemon("other", generation(2), image("image:2"), ofRuntimeClass("gvisor")))
	wantDesired(other, 1)
	see(t, s, makeDaemon("sandboxed", generation(2), image("image:2"), ofRuntimeClass("kata")))
	wantDesired(sandboxed, 2)
	q.Drain()
	s.update(func(u Update) { u.ForgetRuntimeClass("gvisor") })
	q.Want(t, []string{"uid-other on n1", "uid-other on n2"}, []types.UID{"uid-other"})
	wantDesired(other, 2)
	s.update(func(u Update) { u.ForgetRuntimeClass("gvisor") })
	q.Want(t, nil, nil)

	for _, set := range []*v1alpha1.DaemonSet{sandboxed, other, native} {
		s.forgetDaemon(keyOf(set))
	}
	s.forgetNode("n1")
	s.forgetNode("n2")
	for name := range s.records.known["ns"] {
		s.update(func(u Update) { u.ForgetRevision("ns", name) })
	}
	if size := s.Size(); size != 0 {
		t.Errorf("the size is %d when everything is gone", size)
	}
}

// wantEligible compares the nodes that should run a pod of a daemon.
func wantEligible(t *testing.T, when string, s *state, key daemon.WorkloadKey, want ...string) {
	t.Helper()
	var got []string
	for _, name := range s.nodeNames.after("", Batch) {
		if plan := s.task(key.On(name)).Plan; len(plan.Actions) > 0 {
			got = append(got, name)
		}
	}
	wantStrings(t, "eligible nodes, "+when, want, got)
	if _, counters := countersOf(s, key); counters.Desired != len(want) {
		t.Errorf("%s: %d nodes are eligible, want %d", when, counters.Desired, len(want))
	}
}

// While the update of a daemon is not recorded yet, nodes are judged by the class of the template that pods are made from,
// and by the class of the update once that is the target, whenever one of the classes changed.
func TestEachTemplateIsJudgedByItsOwnRuntimeClass(t *testing.T) {
	present := makeDaemon("d", ofRuntimeClass("gvisor"))
	update := makeDaemon("d", generation(2), image("image:2"), ofRuntimeClass("kata"))
	key := keyOf(present)
	gvisor, kata := runtimeClass("gvisor", "sandbox", "gvisor"), runtimeClass("kata", "sandbox", "kata")
	classes := func(s *state) { s.seeRuntimeClass(gvisor); s.seeRuntimeClass(kata) }
	for name, seen := range map[string]func(*testing.T, *state){
		"both classes change later": func(t *testing.T, s *state) {
			s.begin()
			see(t, s, present)
			seeUnrecorded(t, s, update)
			wantEligible(t, "without classes", s, key, "n1", "n2", "n3")
			s.seeRuntimeClass(kata)
			wantEligible(t, "with the update's class", s, key, "n1", "n2", "n3")
			s.seeRuntimeClass(gvisor)
		},
		"the classes are there first": func(t *testing.T, s *state) {
			classes(s)
			s.begin()
			see(t, s, present)
			seeUnrecorded(t, s, update)
		},
		"they change while the nodes are judged": func(t *testing.T, s *state) {
			s.begin()
			see(t, s, present)
			work := &SeeDaemon{Workload: workloadOf(update)}
			for more := true; more; {
				s.update(func(u Update) { more = work.Step(u) })
				if known := s.daemons[key]; known.judging != nil && known.workload == work.Workload {
					classes(s)
				}
				if more {
					work.Compute()
				}
			}
		},
		"the template is read back": func(t *testing.T, s *state) {
			s.seeRevision(fixture.Record(present))
			seeUnrecorded(t, s, update)
			s.begin()
			classes(s)
		},
		"the classes are there before the template is read back": func(t *testing.T, s *state) {
			classes(s)
			s.seeRevision(fixture.Record(present))
			seeUnrecorded(t, s, update)
			s.begin()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newState((&clock{Time: t0}).Now, &fixture.Queues{})
			s.seeNode(makeNode("n1", labelled("sandbox", "gvisor")))
			s.seeNode(makeNode("n2", labelled("sandbox", "kata")))
			s.seeNode(makeNode("n3"))
			seen(t, s)
			wantEligible(t, "before the update is recorded", s, key, "n1")
			s.seeRuntimeClass(runtimeClass("gvisor", "sandbox", "none"))
			wantEligible(t, "when the class selects no node", s, key)
			s.seeNode(makeNode("n4", labelled("sandbox", "none")))
			wantEligible(t, "with a node that follows", s, key, "n4")

			s.seeRevision(fixture.Record(update))
			wantEligible(t, "once the update is recorded", s, key, "n2")
			s.update(func(u Update) { u.ForgetRuntimeClass("gvisor") })
			wantEligible(t, "without the former class", s, key, "n2")
			if len(s.index.byRuntimeClass["gvisor"]) > 0 {
				t.Error("the daemon is found by a class that none of its templates names")
			}
			s.update(func(u Update) { u.ForgetRuntimeClass("kata") })
			wantEligible(t, "without classes", s, key, "n1", "n2", "n3", "n4")
		})
	}
}

// A pod that can never run is found when it is seen, whichever of it and its node is seen first, and forgotten with its
// node, its daemon or itself.
func TestBlockedCellsOfTheModel(t *testing.T) {
	blue := func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{"color": "blue"} }
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node, blue)
	see2 := map[string]func(*state){
		"the pod last":  func(s *state) { see(t, s, set); s.seeNode(node); s.seePod(pod) },
		"the node last": func(s *state) { see(t, s, set); s.seePod(pod); s.seeNode(node) },
		"the set last":  func(s *state) { s.seePod(pod); s.seeNode(node); see(t, s, set) },
	}
	gone := map[string]func(*state){
		"the pod goes":      func(s *state) { s.forgetPod(pod) },
		"the node goes":     func(s *state) { s.forgetNode("n1") },
		"the daemon goes":   func(s *state) { s.forgetDaemon(keyOf(set)) },
		"the node is blue":  func(s *state) { s.seeNode(makeNode("n1", labelled("color", "blue"))) },
		"the pod is bound":  func(s *state) { s.seePod(makePod(set, node, blue, bound("n1"))) },
		"the pod is ending": func(s *state) { s.seePod(makePod(set, node, blue, terminating)) },
	}
	for name, seen := range see2 {
		for ending, end := range gone {
			t.Run(name+", and "+ending, func(t *testing.T) {
				s, _, clock := newTestState()
				seen(s)
				var probe Probe
				var due bool
				if s.probes.Len() != 1 {
					t.Fatalf("%d probes, want one", s.probes.Len())
				}
				clock.Advance(probeLater)
				s.update(func(u Update) { probe, due = u.NextProbe() })
				if !due || probe.Pod.Spec.NodeName != "n1" || probe.Blocker != pod.UID {
					t.Fatalf("due %v: %+v", due, probe)
				}
				s.update(func(u Update) { u.Probed(&probe, true) })
				if s.probes.Len() != 1 {
					t.Fatalf("%d probes after one that was excluded", s.probes.Len())
				}
				end(s)
				if s.probes.Len() != 0 {
					t.Errorf("%d probes are left", s.probes.Len())
				}
			})
		}
	}
}
