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
	w, q, _ := newTestWorld()
	w.kinds.Apps = true
	sandboxed, other, native := makeDaemon("sandboxed", ofRuntimeClass("gvisor")), makeDaemon("other", ofRuntimeClass("kata")), makeDaemon("native", nativeKind, ofRuntimeClass("gvisor"))
	for _, set := range []*v1alpha1.DaemonSet{sandboxed, other, native} {
		see(t, w, set)
	}
	w.nodeSeen(makeNode("n1", labelled("sandbox", "yes")))
	w.nodeSeen(makeNode("n2"))
	q.drain()

	w.runtimeClassSeen(runtimeClass("gvisor", "sandbox", "yes"))
	wantQueued(t, q, []string{"uid-sandboxed on n1"}, []types.UID{"uid-sandboxed"})
	w.runtimeClassSeen(runtimeClass("gvisor", "sandbox", "yes"))
	w.runtimeClassSeen(runtimeClass("nobodys", "sandbox", "yes"))
	wantQueued(t, q, nil, nil)
	wantDesired := func(set *v1alpha1.DaemonSet, want int) {
		t.Helper()
		if _, got := countersOf(w, keyOf(set)); got.Desired != want {
			t.Errorf("%s: %d nodes are eligible, want %d", set.Name, got.Desired, want)
		}
	}
	wantDesired(sandboxed, 1)
	wantDesired(other, 2)

	// One that names the class later, or another one, is judged by it.
	see(t, w, makeDaemon("other", generation(2), image("image:2"), ofRuntimeClass("gvisor")))
	wantDesired(other, 1)
	see(t, w, makeDaemon("sandboxed", generation(2), image("image:2"), ofRuntimeClass("kata")))
	wantDesired(sandboxed, 2)
	q.drain()
	w.update(func(u Update) { u.ForgetRuntimeClass("gvisor") })
	wantQueued(t, q, []string{"uid-other on n1", "uid-other on n2"}, []types.UID{"uid-other"})
	wantDesired(other, 2)
	w.update(func(u Update) { u.ForgetRuntimeClass("gvisor") })
	wantQueued(t, q, nil, nil)

	for _, set := range []*v1alpha1.DaemonSet{sandboxed, other, native} {
		w.daemonGone(keyOf(set))
	}
	w.nodeGone("n1")
	w.nodeGone("n2")
	for name := range w.records.known["ns"] {
		w.update(func(u Update) { u.ForgetRevision("ns", name) })
	}
	if size := w.Size(); size != 0 {
		t.Errorf("the size is %d when everything is gone", size)
	}
}

// wantEligible compares the nodes that should run a pod of a daemon.
func wantEligible(t *testing.T, when string, w *world, key daemon.WorkloadKey, want ...string) {
	t.Helper()
	var got []string
	for _, name := range w.nodeNames.after("", Batch) {
		if plan := w.task(key.On(name)).Plan; len(plan.Actions) > 0 {
			got = append(got, name)
		}
	}
	wantStrings(t, "eligible nodes, "+when, want, got)
	if _, counters := countersOf(w, key); counters.Desired != len(want) {
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
	classes := func(w *world) { w.runtimeClassSeen(gvisor); w.runtimeClassSeen(kata) }
	for name, seen := range map[string]func(*testing.T, *world){
		"both classes change later": func(t *testing.T, w *world) {
			w.begin()
			see(t, w, present)
			seeUnrecorded(t, w, update)
			wantEligible(t, "without classes", w, key, "n1", "n2", "n3")
			w.runtimeClassSeen(kata)
			wantEligible(t, "with the update's class", w, key, "n1", "n2", "n3")
			w.runtimeClassSeen(gvisor)
		},
		"the classes are there first": func(t *testing.T, w *world) {
			classes(w)
			w.begin()
			see(t, w, present)
			seeUnrecorded(t, w, update)
		},
		"they change while the nodes are judged": func(t *testing.T, w *world) {
			w.begin()
			see(t, w, present)
			work := &SeeDaemon{Workload: workloadOf(update)}
			for more := true; more; {
				w.update(func(u Update) { more = work.Step(u) })
				if known := w.daemons[key]; known.judging != nil && known.workload == work.Workload {
					classes(w)
				}
				if more {
					work.Compute()
				}
			}
		},
		"the template is read back": func(t *testing.T, w *world) {
			w.revisionSeen(fixture.Record(present))
			seeUnrecorded(t, w, update)
			w.begin()
			classes(w)
		},
		"the classes are there before the template is read back": func(t *testing.T, w *world) {
			classes(w)
			w.revisionSeen(fixture.Record(present))
			seeUnrecorded(t, w, update)
			w.begin()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld((&clock{Time: t0}).Now, &queues{})
			w.nodeSeen(makeNode("n1", labelled("sandbox", "gvisor")))
			w.nodeSeen(makeNode("n2", labelled("sandbox", "kata")))
			w.nodeSeen(makeNode("n3"))
			seen(t, w)
			wantEligible(t, "before the update is recorded", w, key, "n1")
			w.runtimeClassSeen(runtimeClass("gvisor", "sandbox", "none"))
			wantEligible(t, "when the class selects no node", w, key)
			w.nodeSeen(makeNode("n4", labelled("sandbox", "none")))
			wantEligible(t, "with a node that follows", w, key, "n4")

			w.revisionSeen(fixture.Record(update))
			wantEligible(t, "once the update is recorded", w, key, "n2")
			w.update(func(u Update) { u.ForgetRuntimeClass("gvisor") })
			wantEligible(t, "without the former class", w, key, "n2")
			if len(w.index.byRuntimeClass["gvisor"]) > 0 {
				t.Error("the daemon is found by a class that none of its templates names")
			}
			w.update(func(u Update) { u.ForgetRuntimeClass("kata") })
			wantEligible(t, "without classes", w, key, "n1", "n2", "n3", "n4")
		})
	}
}

// A pod that waits in vain is found when it is seen, whichever of it and its node is seen first, and forgotten with its
// node, its daemon or itself.
func TestBlockedCellsOfTheModel(t *testing.T) {
	blue := func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{"color": "blue"} }
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node, blue)
	see2 := map[string]func(*world){
		"the pod last":  func(w *world) { see(t, w, set); w.nodeSeen(node); w.podSeen(pod) },
		"the node last": func(w *world) { see(t, w, set); w.podSeen(pod); w.nodeSeen(node) },
		"the set last":  func(w *world) { w.podSeen(pod); w.nodeSeen(node); see(t, w, set) },
	}
	gone := map[string]func(*world){
		"the pod goes":      func(w *world) { w.podGone(pod) },
		"the node goes":     func(w *world) { w.nodeGone("n1") },
		"the daemon goes":   func(w *world) { w.daemonGone(keyOf(set)) },
		"the node is blue":  func(w *world) { w.nodeSeen(makeNode("n1", labelled("color", "blue"))) },
		"the pod is bound":  func(w *world) { w.podSeen(makePod(set, node, blue, bound("n1"))) },
		"the pod is ending": func(w *world) { w.podSeen(makePod(set, node, blue, terminating)) },
	}
	for name, seen := range see2 {
		for ending, end := range gone {
			t.Run(name+", and "+ending, func(t *testing.T) {
				w, _, clock := newTestWorld()
				seen(w)
				var probe Probe
				var due bool
				if w.probes.Len() != 1 {
					t.Fatalf("%d probes, want one", w.probes.Len())
				}
				clock.Advance(probeLater)
				w.update(func(u Update) { probe, due = u.NextProbe() })
				if !due || probe.Pod.Spec.NodeName != "n1" || probe.Blocker != pod.UID {
					t.Fatalf("due %v: %+v", due, probe)
				}
				w.update(func(u Update) { u.Probed(&probe, true) })
				if w.probes.Len() != 1 {
					t.Fatalf("%d probes after one that was excluded", w.probes.Len())
				}
				end(w)
				if w.probes.Len() != 0 {
					t.Errorf("%d probes are left", w.probes.Len())
				}
			})
		}
	}
}
