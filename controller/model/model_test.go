package model

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

func wantSteps(t *testing.T, w *world, key daemon.CellKey, want ...string) {
	t.Helper()
	fixture.WantSteps(t, key, w.task(key).Plan, want)
}

func wantQueued(t *testing.T, q *queues, wantPlans []string, wantReports []types.UID) {
	t.Helper()
	plans, reports := q.drain()
	if diff := cmp.Diff(wantPlans, plans, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("cells to plan (-want, +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantReports, reports, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("daemons to report (-want, +got):\n%s", diff)
	}
}

func see(t *testing.T, w *world, set *v1alpha1.DaemonSet) {
	t.Helper()
	if err := w.seen(set); err != nil {
		t.Fatal(err)
	}
}

const createStep = fixture.CreateStep

func TestWorldPodBeforeItsDaemon(t *testing.T) {
	w, q, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
	w.podSeen(makePod(set, node))
	wantSteps(t, w, key)
	if object, _ := countersOf(w, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); object != nil {
		t.Error("a daemon that was not seen has counters")
	}
	w.nodeSeen(node)
	wantSteps(t, w, key)
	q.drain()
	see(t, w, set)
	wantQueued(t, q, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	wantSteps(t, w, key) // it has its pod: no second one, and no deletion
	_, got := countersOf(w, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if diff := cmp.Diff(daemon.Counters{Desired: 1, Current: 1, Updated: 1, Pending: 1}, got); diff != "" {
		t.Errorf("counters (-want, +got):\n%s", diff)
	}
}

func TestWorldTaskHasWhatItTakes(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	task := w.task(daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
	if task.Workload.Key != keyOf(set) || task.Node != node {
		t.Errorf("the task is for node %v of %v", task.Node, task.Workload)
	}
	pod := daemon.NewPod(task.Template, task.Node, task.Names[0])
	if pod.Namespace != "ns" || !metav1.IsControlledBy(pod, set) {
		t.Errorf("the template makes pods in %s controlled by %v", pod.Namespace, pod.OwnerReferences)
	}
	if key, ok := daemon.CellOf(pod); !ok || key != (daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}) {
		t.Errorf("the pod it makes is of %v, %v", key, ok)
	}
	w.nodeGone("n1")
	if task := w.task(daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}); task.Node != nil || len(task.Actions) > 0 {
		t.Errorf("task of a node that is gone: %+v", task)
	}
}

func TestWorldDaemonDeleted(t *testing.T) {
	for name, leave := range map[string]func(*world, *v1alpha1.DaemonSet) error{
		"gone": func(w *world, set *v1alpha1.DaemonSet) error { w.daemonGone(keyOf(set)); return nil },
		"terminating": func(w *world, set *v1alpha1.DaemonSet) error {
			leaving := set.DeepCopy()
			leaving.Generation++
			deleting(leaving)
			return w.seen(leaving)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, q, _ := newTestWorld()
			set, n1, n2 := makeDaemon("d"), makeNode("n1"), makeNode("n2")
			pod := makePod(set, n1)
			see(t, w, set)
			w.nodeSeen(n1)
			w.nodeSeen(n2)
			w.podSeen(pod)
			if err := leave(w, set); err != nil {
				t.Fatal(err)
			}
			// Its pods are the garbage collector's, and no new ones are made.
			wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
			wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"})
			w.nodeGone("n1")
			w.nodeSeen(makeNode("n2", labelled("a", "b")))
			wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
			if object, _ := countersOf(w, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); object != nil || len(w.objects()) != 0 {
				t.Errorf("it is still kept up: %v, %v", object, w.objects())
			}
			w.podGone(pod)
			w.daemonGone(daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
			if len(w.daemons) != 0 {
				t.Errorf("something is remembered of it: %v", w.daemons)
			}
			q.drain()
			w.nodeSeen(makeNode("n3"))
			wantQueued(t, q, nil, nil)
		})
	}
}

func TestWorldOrphanedPod(t *testing.T) {
	w, q, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node, bound("n1"))
	see(t, w, set)
	w.nodeSeen(node)
	w.podSeen(pod)
	q.drain()

	orphan := pod.DeepCopy()
	orphan.OwnerReferences = nil
	w.podSeen(orphan)
	wantQueued(t, q, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}, createStep)

	w.podSeen(pod) // adopted again
	wantQueued(t, q, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
}

func TestWorldPodChangesItsOwner(t *testing.T) {
	w, q, _ := newTestWorld()
	a, b, node := makeDaemon("a"), makeDaemon("b"), makeNode("n1")
	see(t, w, a)
	see(t, w, b)
	w.nodeSeen(node)
	pod := makePod(a, node)
	w.podSeen(pod)
	q.drain()
	moved := pod.DeepCopy()
	moved.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(b, v1alpha1.DaemonSetKind)}
	moved.Labels["app"] = "b"
	w.podSeen(moved)
	wantQueued(t, q, []string{"uid-a on n1"}, []types.UID{"uid-a", "uid-b"})
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-a", Node: "n1"}, createStep)
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-b", Node: "n1"})
}

func TestWorldNodeMadeAnew(t *testing.T) {
	old, again := makeNode("n1"), makeNode("n1", incarnation("uid-n1-again"))
	tests := map[string]struct {
		happens func(*world)
		want    string
	}{
		"seen as gone and back": {happens: func(w *world) { w.nodeGone("n1"); w.nodeSeen(again) }, want: "NodeReplaced"},
		"seen as an update":     {happens: func(w *world) { w.nodeSeen(again) }, want: "NodeReplaced"},
		"gone for now":          {happens: func(w *world) { w.nodeGone("n1") }, want: "NodeGone"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w, q, _ := newTestWorld()
			set := makeDaemon("d")
			pod := makePod(set, old, bound("n1"), podUID("p"))
			see(t, w, set)
			w.nodeSeen(old)
			w.podSeen(pod)
			q.drain()
			test.happens(w)
			wantQueued(t, q, []string{"uid-d on n1"}, []types.UID{"uid-d"})
			key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
			wantSteps(t, w, key, "Delete p: "+test.want)

			ending := pod.DeepCopy()
			terminating(ending)
			w.podSeen(ending)
			w.nodeSeen(again)
			wantSteps(t, w, key) // it holds its place (S1)
			q.drain()
			w.podGone(ending)
			wantQueued(t, q, []string{"uid-d on n1"}, []types.UID{"uid-d"})
			wantSteps(t, w, key, createStep)
			if node := w.task(key).Node; node.UID != again.UID {
				t.Errorf("the pod would be made for incarnation %s", node.UID)
			}
		})
	}
}

func TestWorldLeavesOthersPodsAlone(t *testing.T) {
	set, node := makeDaemon("d"), makeNode("n1")
	ownedBy := func(apiVersion, kind string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.OwnerReferences[0].APIVersion, pod.OwnerReferences[0].Kind = apiVersion, kind
		}
	}
	tests := map[string]func(*corev1.Pod){
		"of apps/v1":                ownedBy("apps/v1", "DaemonSet"),
		"of apps in an old version": ownedBy("apps/v1beta2", "DaemonSet"),
		"of a group with our name":  ownedBy("everynode.dev.example.com/v1", "DaemonSet"),
		"of another kind":           ownedBy("everynode.dev/v1alpha1", "Other"),
		"for any node":              func(pod *corev1.Pod) { pod.Spec.Affinity = nil },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w, q, _ := newTestWorld()
			see(t, w, set)
			w.nodeSeen(node)
			q.drain()
			pod := makePod(set, node, change)
			w.podSeen(pod)
			w.podSeen(pod)
			w.podGone(pod)
			wantQueued(t, q, nil, nil)
			wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}, createStep)
		})
	}
}

// An owner reference counts within its namespace: a pod elsewhere that carries the UID of a
// daemon is a forgery, and takes nobody's place.
func TestWorldLeavesForgeriesAlone(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	forgery := makePod(set, node, func(pod *corev1.Pod) { pod.Namespace = "elsewhere" })
	w.podSeen(forgery)
	see(t, w, set)
	w.nodeSeen(node)
	wantSteps(t, w, keyOf(set).On("n1"), createStep)
	w.podSeen(makePod(set, node, podUID("real")))
	wantSteps(t, w, keyOf(set).On("n1"))
}

// Its last state may have lost its owner: what counts is where it was.
func TestWorldPodGoneWithoutItsOwner(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	pod := makePod(set, node)
	w.podSeen(pod)
	last := pod.DeepCopy()
	last.OwnerReferences = nil
	w.podGone(last)
	wantSteps(t, w, keyOf(set).On("n1"), createStep)
}

func TestWorldServesEveryVersionOfOurs(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	w.podSeen(makePod(set, node, func(pod *corev1.Pod) { pod.OwnerReferences[0].APIVersion = "everynode.dev/v1" }))
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
}

func TestWorldNodeEventCostsWhatItChanged(t *testing.T) {
	w, q, _ := newTestWorld()
	see(t, w, makeDaemon("everywhere"))
	see(t, w, makeDaemon("ssd", onlyWhere("disk", "ssd")))
	q.drain()
	w.nodeSeen(makeNode("n1"))
	wantQueued(t, q, []string{"uid-everywhere on n1", "uid-ssd on n1"}, []types.UID{"uid-everywhere", "uid-ssd"})
	w.nodeSeen(makeNode("n1", labelled("zone", "a"))) // no verdict depends on it
	wantQueued(t, q, nil, nil)
	w.nodeSeen(makeNode("n1", labelled("disk", "ssd")))
	wantQueued(t, q, []string{"uid-ssd on n1"}, []types.UID{"uid-ssd"})
	w.nodeGone("n1")
	wantQueued(t, q, []string{"uid-everywhere on n1", "uid-ssd on n1"}, []types.UID{"uid-everywhere", "uid-ssd"})
}

func TestWorldDaemonEvents(t *testing.T) {
	w, q, _ := newTestWorld()
	w.nodeSeen(makeNode("n1"))
	w.nodeSeen(makeNode("n2", labelled("disk", "ssd")))
	wantQueued(t, q, nil, nil)
	see(t, w, makeDaemon("d"))
	wantQueued(t, q, []string{"uid-d on n1", "uid-d on n2"}, []types.UID{"uid-d"})

	// Its own status write comes back as an event of the same generation: no cell is planned.
	wrote := makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Status.NumberReady = 1 })
	see(t, w, wrote)
	wantQueued(t, q, nil, []types.UID{"uid-d"})
	if workload, _ := countersOf(w, keyOf(wrote)); workload.Status.NumberReady != 1 {
		t.Error("the status is compared with a former state")
	}

	see(t, w, makeDaemon("d", generation(2), onlyWhere("disk", "ssd")))
	wantQueued(t, q, []string{"uid-d on n1", "uid-d on n2"}, []types.UID{"uid-d"})
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
	wantSteps(t, w, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"}, createStep)
}

func TestWorldCountsTheNewTemplate(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	w.podSeen(makePod(set, node, ready(t0)))
	want := daemon.Counters{Desired: 1, Current: 1, Ready: 1, Available: 1, Updated: 1}
	_, got := countersOf(w, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want, +got):\n%s", diff)
	}
	see(t, w, makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].Image, set.Spec.MinReadySeconds = "image:2", 10
	}))
	want.Updated, want.Available = 0, 0
	_, got = countersOf(w, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters after a new template (-want, +got):\n%s", diff)
	}
}

// Nothing happens when a pod becomes available: the plan must ask to look again, and tell.
func TestWorldReportsAvailabilityByWaiting(t *testing.T) {
	w, q, c := newTestWorld()
	set, node := makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 10 }), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	w.podSeen(makePod(set, node, ready(t0)))
	key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
	if wake := w.task(key).WakeAt; !wake.Equal(t0.Add(10 * time.Second)) {
		t.Fatalf("WakeAt = %v, want 10s later", wake)
	}
	q.drain()
	c.Advance(9 * time.Second)
	w.task(key)
	wantQueued(t, q, nil, nil)
	c.Advance(time.Second)
	if wake := w.task(key).WakeAt; !wake.IsZero() {
		t.Errorf("WakeAt = %v, want none", wake)
	}
	wantQueued(t, q, nil, []types.UID{"uid-d"})
	if _, counters := countersOf(w, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); counters.Available != 1 {
		t.Errorf("available = %d, want 1", counters.Available)
	}
}

func TestWorldObjectsAreSortedAndActive(t *testing.T) {
	w, _, _ := newTestWorld()
	for _, name := range []string{"c", "a", "b"} {
		see(t, w, makeDaemon(name))
	}
	see(t, w, makeDaemon("leaving", deleting))
	w.podSeen(makePod(makeDaemon("unseen"), makeNode("n1")))
	var got []string
	for _, object := range w.objects() {
		got = append(got, object.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("objects (-want, +got):\n%s", diff)
	}
}

// history is the cluster as it really is, while a world is told of it event by event.
type history struct {
	daemons map[string]*v1alpha1.DaemonSet
	nodes   map[string]*corev1.Node
	pods    map[string]*corev1.Pod
	made    int
}

var (
	drawDaemon = rapid.SampledFrom([]string{"a", "b"})
	drawNode   = rapid.SampledFrom([]string{"n1", "n2"})
)

// tell replays the state into a new world, in a drawn order.
func (h *history) tell(t *rapid.T) *world {
	w, _, _ := newTestWorld()
	events := []func(){}
	for _, name := range sortedKeys(h.daemons) {
		events = append(events, func() {
			if err := w.seen(h.daemons[name]); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, name := range sortedKeys(h.nodes) {
		events = append(events, func() { w.nodeSeen(h.nodes[name]) })
	}
	for _, name := range sortedKeys(h.pods) {
		events = append(events, func() { w.podSeen(h.pods[name]) })
	}
	order := make([]int, len(events))
	for i := range order {
		order[i] = i
	}
	for _, i := range rapid.Permutation(order).Draw(t, "order") {
		events[i]()
	}
	return w
}

func sortedKeys[V any](m map[string]V) []string {
	keys := []string{}
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// play is a history as it happens: to a world, whose requests are worked on at once, and to the
// record that other worlds are told from.
type play struct {
	history
	world    *world
	queues   *queues
	planned  map[daemon.CellKey][]string   // the last plan that an event asked for
	reported map[types.UID]daemon.Counters // what was reported last
}

func (p *play) daemonChanges(t *rapid.T) {
	name := drawDaemon.Draw(t, "daemon")
	set := makeDaemon(name)
	if rapid.Bool().Draw(t, "ssd only") {
		onlyWhere("disk", "ssd")(set)
	}
	set.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "image")
	if old := p.daemons[name]; old != nil {
		set.UID, set.Generation = old.UID, old.Generation+1
		set.DeletionTimestamp = old.DeletionTimestamp
	} else {
		p.made++
		set.UID = types.UID(fmt.Sprintf("%s-%d", name, p.made))
	}
	if rapid.IntRange(0, 5).Draw(t, "deleting") == 0 {
		deleting(set)
	}
	p.daemons[name] = set
	if err := p.world.seen(set); err != nil {
		t.Fatal(err)
	}
}

func (p *play) daemonGoes(t *rapid.T) {
	name := drawDaemon.Draw(t, "daemon")
	if set := p.daemons[name]; set != nil {
		delete(p.daemons, name)
		p.world.daemonGone(keyOf(set))
	}
}

func (p *play) nodeChanges(t *rapid.T) {
	name := drawNode.Draw(t, "node")
	node := makeNode(name, labelled("disk", rapid.SampledFrom([]string{"ssd", "hdd"}).Draw(t, "disk")),
		incarnation(types.UID(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "incarnation"))))
	p.nodes[name] = node
	p.world.nodeSeen(node)
}

func (p *play) nodeGoes(t *rapid.T) {
	name := drawNode.Draw(t, "node")
	delete(p.nodes, name)
	p.world.nodeGone(name)
}

func (p *play) podComes(t *rapid.T) {
	name, on := drawDaemon.Draw(t, "of"), drawNode.Draw(t, "on")
	set, node := p.daemons[name], p.nodes[on]
	if set == nil {
		set = makeDaemon(name) // one that the model does not know
	}
	if node == nil {
		node = makeNode(on)
	}
	p.made++
	pod := makePod(set, node, podUID(types.UID(fmt.Sprintf("p-%d", p.made))))
	p.pods[string(pod.UID)] = pod
	p.world.podSeen(pod)
}

func (p *play) podChanges(t *rapid.T) {
	if len(p.pods) == 0 {
		return
	}
	uid := rapid.SampledFrom(sortedKeys(p.pods)).Draw(t, "pod")
	pod := p.pods[uid].DeepCopy()
	switch rapid.SampledFrom([]string{"bound", "terminating", "ready", "orphaned"}).Draw(t, "change") {
	case "bound":
		if key, ok := daemon.CellOf(pod); ok {
			pod.Spec.NodeName = key.Node
		}
	case "terminating":
		terminating(pod)
	case "ready":
		ready(t0)(pod)
	case "orphaned":
		pod.OwnerReferences = nil
	}
	p.pods[uid] = pod
	p.world.podSeen(pod)
}

func (p *play) podGoes(t *rapid.T) {
	if len(p.pods) == 0 {
		return
	}
	uid := rapid.SampledFrom(sortedKeys(p.pods)).Draw(t, "pod")
	pod := p.pods[uid]
	delete(p.pods, uid)
	p.world.podGone(pod)
}

// work plans and reports what events asked for.
func (p *play) work() {
	for _, key := range p.queues.plans {
		p.planned[key] = fixture.Steps(p.world.task(key).Plan)
	}
	for _, uid := range p.queues.reports {
		_, p.reported[uid] = countersOf(p.world, daemon.WorkloadKey{Namespace: "ns", UID: uid})
	}
	p.queues.drain()
}

// generationOf is that of a daemon, 0 if there is none.
func generationOf(workload *daemon.Workload) int64 {
	if workload == nil {
		return 0
	}
	return workload.Generation
}

// check compares with a world that was only told the outcome.
func (p *play) check(t *rapid.T) {
	p.work()
	told := p.tell(t)
	for _, set := range p.daemons {
		workload, got := countersOf(p.world, keyOf(set))
		wantWorkload, want := countersOf(told, keyOf(set))
		if diff := cmp.Diff(want, got); diff != "" || generationOf(workload) != generationOf(wantWorkload) {
			t.Fatalf("counters of %s, generations %d and %d (-want, +got):\n%s", set.UID, generationOf(wantWorkload), generationOf(workload), diff)
		}
		if diff := cmp.Diff(want, p.reported[set.UID]); diff != "" {
			t.Fatalf("counters of %s were not reported (-now, +last told):\n%s", set.UID, diff)
		}
		if wrong := p.world.audit(keyOf(set)); len(wrong) > 0 {
			t.Fatalf("the scrub finds %q", wrong)
		}
		for _, node := range []string{"n1", "n2"} {
			key := keyOf(set).On(node)
			want := fixture.Steps(told.task(key).Plan)
			if diff := cmp.Diff(want, fixture.Steps(p.world.task(key).Plan), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("plan of %v (-want, +got):\n%s", key, diff)
			}
			if diff := cmp.Diff(want, p.planned[key], cmpopts.EquateEmpty()); diff != "" && len(want) > 0 {
				t.Fatalf("%v was not planned again (-now, +last planned):\n%s", key, diff)
			}
		}
	}
}

// Whatever happened, what a world knows is what one would know that was only told the outcome,
// in any order; and what there is to do now an event has asked for, or a wakeup was
// lost. When everything is gone nothing is remembered.
func TestWorldComesToTheSameEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, q, _ := newTestWorld()
		p := &play{
			history: history{daemons: map[string]*v1alpha1.DaemonSet{}, nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}},
			world:   w, queues: q,
			planned: map[daemon.CellKey][]string{}, reported: map[types.UID]daemon.Counters{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"daemon": p.daemonChanges, "daemon gone": p.daemonGoes,
			"node": p.nodeChanges, "node gone": p.nodeGoes,
			"pod": p.podComes, "pod changes": p.podChanges, "pod gone": p.podGoes,
			"": p.check,
		})
		for _, pod := range p.pods {
			w.podGone(pod)
		}
		for _, set := range p.daemons {
			w.daemonGone(keyOf(set))
		}
		if len(w.daemons)+len(w.pods)+len(w.awaited)+len(w.claims.byCell)+len(w.claims.orphans) != 0 {
			t.Fatalf("something is remembered of what is gone: %v, %v, %v, %v", w.daemons, w.pods, w.awaited, w.claims)
		}
	})
}

// Names that a cell waits for are remembered as long as it waits.
func TestWorldAwaitsNames(t *testing.T) {
	w, q, _ := newTestWorld()
	set := makeDaemon("d")
	cell := keyOf(set).On("n1")
	see(t, w, set)
	w.nodeSeen(makeNode("n1"))
	names := firstNames(set, makeNode("n1"))
	squatter := func(name string) *corev1.Pod {
		return makePod(set, makeNode("n1"), func(pod *corev1.Pod) { pod.OwnerReferences, pod.Name = nil, name })
	}
	for _, name := range names {
		w.trouble(cell, daemon.Problem{Reason: nameTaken, Message: "both"})
		q.drain()
		w.podGone(squatter(name))
		wantQueued(t, q, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	}
	w.podGone(makePod(makeDaemon("other"), makeNode("n1")))
	wantQueued(t, q, nil, nil)
	w.trouble(cell, daemon.Problem{})
	q.drain()
	w.podGone(squatter(names[0]))
	wantQueued(t, q, nil, nil)
	w.trouble(cell, daemon.Problem{Reason: nameTaken, Message: "again"})
	w.daemonGone(keyOf(set))
	w.nodeGone("n1")
	if len(w.awaited)+len(w.daemons) != 0 {
		t.Errorf("remembered: %v, %v", w.awaited, w.daemons)
	}
}

// History has to follow when the last pod of a revision is gone, not for every pod of a rollout.
func TestWorldRecordsWhenARevisionIsGone(t *testing.T) {
	w, q, _ := newTestWorld()
	set := makeDaemon("d")
	see(t, w, set)
	var pods []*corev1.Pod
	for _, node := range []string{"n1", "n2", "n3"} {
		pod := makePod(set, makeNode(node))
		w.podSeen(pod)
		pods = append(pods, pod)
	}
	q.looked()
	for i, pod := range pods {
		w.podGone(pod)
		if records, want := q.looked(), i/2; len(records) != want {
			t.Errorf("after %d of 3 pods: the history of %q is looked at, want %d", i+1, records, want)
		}
	}
}

// The name of a pod that comes after none that is known is that of no pod which a former process made, nor that of a pod
// from before the node was created again, nor that of a former daemon.
func TestNamesOfFirstPods(t *testing.T) {
	names := map[string]string{}
	first := func(what, nonce string, set *v1alpha1.DaemonSet, node *corev1.Node) {
		w, _, _ := newTestWorld()
		w.nonce = nonce
		see(t, w, set)
		w.nodeSeen(node)
		for _, name := range w.task(keyOf(set).On(node.Name)).Names {
			if former, taken := names[name]; taken {
				t.Errorf("%s: the name %s is that of %s", what, name, former)
			}
			names[name] = what
		}
	}
	again := func(set *v1alpha1.DaemonSet) { set.UID = "uid-again" }
	first("the first", "x", makeDaemon("d"), makeNode("n1"))
	first("a later process", "y", makeDaemon("d"), makeNode("n1"))
	first("the node created again", "x", makeDaemon("d"), makeNode("n1", func(node *corev1.Node) { node.UID = "uid-again" }))
	first("the daemon created again", "x", makeDaemon("d", again), makeNode("n1"))
	first("another node", "x", makeDaemon("d"), makeNode("n2"))
	if len(names) != 10 {
		t.Errorf("%d names, want 2 each", len(names))
	}
}
