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

func wantSteps(t *testing.T, s *state, key daemon.CellKey, want ...string) {
	t.Helper()
	fixture.WantSteps(t, key, s.task(key).Plan, want)
}

func see(t *testing.T, s *state, set *v1alpha1.DaemonSet) {
	t.Helper()
	if err := s.seeRecorded(set); err != nil {
		t.Fatal(err)
	}
}

const createStep = fixture.CreateStep

func TestModelPodBeforeItsDaemon(t *testing.T) {
	s, q, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
	s.seePod(makePod(set, node))
	wantSteps(t, s, key)
	if object, _ := countersOf(s, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); object != nil {
		t.Error("a daemon that was not seen has counters")
	}
	s.seeNode(node)
	wantSteps(t, s, key)
	q.Drain()
	see(t, s, set)
	q.Want(t, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	wantSteps(t, s, key) // it has its pod: no second one, and no deletion
	_, got := countersOf(s, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if diff := cmp.Diff(daemon.Counters{Desired: 1, Current: 1, Updated: 1, Pending: 1}, got); diff != "" {
		t.Errorf("counters (-want, +got):\n%s", diff)
	}
}

func TestModelTaskHasWhatItTakes(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	task := s.task(daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
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
	s.forgetNode("n1")
	if task := s.task(daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}); task.Node != nil || len(task.Actions) > 0 {
		t.Errorf("task of a node that is gone: %+v", task)
	}
}

func TestModelDaemonDeleted(t *testing.T) {
	for name, leave := range map[string]func(*state, *v1alpha1.DaemonSet) error{
		"gone": func(s *state, set *v1alpha1.DaemonSet) error { s.forgetDaemon(keyOf(set)); return nil },
		"terminating": func(s *state, set *v1alpha1.DaemonSet) error {
			leaving := set.DeepCopy()
			leaving.Generation++
			deleting(leaving)
			return s.seeRecorded(leaving)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, q, _ := newTestState()
			set, n1, n2 := makeDaemon("d"), makeNode("n1"), makeNode("n2")
			pod := makePod(set, n1)
			see(t, s, set)
			s.seeNode(n1)
			s.seeNode(n2)
			s.seePod(pod)
			if err := leave(s, set); err != nil {
				t.Fatal(err)
			}
			// Its pods are the garbage collector's, and no new ones are made.
			wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
			wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"})
			s.forgetNode("n1")
			s.seeNode(makeNode("n2", labelled("a", "b")))
			wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
			if object, _ := countersOf(s, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); object != nil || len(s.objects()) != 0 {
				t.Errorf("it is still kept up: %v, %v", object, s.objects())
			}
			s.forgetPod(pod)
			s.forgetDaemon(daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
			if len(s.daemons) != 0 {
				t.Errorf("something is remembered of it: %v", s.daemons)
			}
			q.Drain()
			s.seeNode(makeNode("n3"))
			q.Want(t, nil, nil)
		})
	}
}

func TestModelOrphanedPod(t *testing.T) {
	s, q, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node, bound("n1"))
	see(t, s, set)
	s.seeNode(node)
	s.seePod(pod)
	q.Drain()

	orphan := pod.DeepCopy()
	orphan.OwnerReferences = nil
	s.seePod(orphan)
	q.Want(t, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}, createStep)

	s.seePod(pod) // adopted again
	q.Want(t, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
}

func TestModelPodChangesItsOwner(t *testing.T) {
	s, q, _ := newTestState()
	a, b, node := makeDaemon("a"), makeDaemon("b"), makeNode("n1")
	see(t, s, a)
	see(t, s, b)
	s.seeNode(node)
	pod := makePod(a, node)
	s.seePod(pod)
	q.Drain()
	moved := pod.DeepCopy()
	moved.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(b, v1alpha1.DaemonSetKind)}
	moved.Labels["app"] = "b"
	s.seePod(moved)
	q.Want(t, []string{"uid-a on n1"}, []types.UID{"uid-a", "uid-b"})
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-a", Node: "n1"}, createStep)
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-b", Node: "n1"})
}

func TestModelNodeMadeAnew(t *testing.T) {
	old, again := makeNode("n1"), makeNode("n1", incarnation("uid-n1-again"))
	tests := map[string]struct {
		happens func(*state)
		want    string
	}{
		"seen as gone and back": {happens: func(s *state) { s.forgetNode("n1"); s.seeNode(again) }, want: "NodeReplaced"},
		"seen as an update":     {happens: func(s *state) { s.seeNode(again) }, want: "NodeReplaced"},
		"gone for now":          {happens: func(s *state) { s.forgetNode("n1") }, want: "NodeGone"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, q, _ := newTestState()
			set := makeDaemon("d")
			pod := makePod(set, old, bound("n1"), podUID("p"))
			see(t, s, set)
			s.seeNode(old)
			s.seePod(pod)
			q.Drain()
			test.happens(s)
			q.Want(t, []string{"uid-d on n1"}, []types.UID{"uid-d"})
			key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
			wantSteps(t, s, key, "Delete p: "+test.want)

			ending := pod.DeepCopy()
			terminating(ending)
			s.seePod(ending)
			s.seeNode(again)
			wantSteps(t, s, key) // it holds its place (S1)
			q.Drain()
			s.forgetPod(ending)
			q.Want(t, []string{"uid-d on n1"}, []types.UID{"uid-d"})
			wantSteps(t, s, key, createStep)
			if node := s.task(key).Node; node.UID != again.UID {
				t.Errorf("the pod would be made for incarnation %s", node.UID)
			}
		})
	}
}

func TestModelLeavesOthersPodsAlone(t *testing.T) {
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
			s, q, _ := newTestState()
			see(t, s, set)
			s.seeNode(node)
			q.Drain()
			pod := makePod(set, node, change)
			s.seePod(pod)
			s.seePod(pod)
			s.forgetPod(pod)
			q.Want(t, nil, nil)
			wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}, createStep)
		})
	}
}

// An owner reference counts within its namespace: a pod elsewhere that carries the UID of a
// daemon is a forgery, and takes the place of no pod.
func TestModelLeavesForgeriesAlone(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	forgery := makePod(set, node, func(pod *corev1.Pod) { pod.Namespace = "elsewhere" })
	s.seePod(forgery)
	see(t, s, set)
	s.seeNode(node)
	wantSteps(t, s, keyOf(set).On("n1"), createStep)
	s.seePod(makePod(set, node, podUID("real")))
	wantSteps(t, s, keyOf(set).On("n1"))
}

// Its last state may have lost its owner: what counts is where it was.
func TestModelPodGoneWithoutItsOwner(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	pod := makePod(set, node)
	s.seePod(pod)
	last := pod.DeepCopy()
	last.OwnerReferences = nil
	s.forgetPod(last)
	wantSteps(t, s, keyOf(set).On("n1"), createStep)
}

func TestModelServesEveryVersionOfOurs(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	s.seePod(makePod(set, node, func(pod *corev1.Pod) { pod.OwnerReferences[0].APIVersion = "everynode.dev/v1" }))
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
}

func TestModelNodeEventCostsWhatItChanged(t *testing.T) {
	s, q, _ := newTestState()
	see(t, s, makeDaemon("everywhere"))
	see(t, s, makeDaemon("ssd", onlyWhere("disk", "ssd")))
	q.Drain()
	s.seeNode(makeNode("n1"))
	q.Want(t, []string{"uid-everywhere on n1", "uid-ssd on n1"}, []types.UID{"uid-everywhere", "uid-ssd"})
	s.seeNode(makeNode("n1", labelled("zone", "a"))) // no verdict depends on it
	q.Want(t, nil, nil)
	s.seeNode(makeNode("n1", labelled("disk", "ssd")))
	q.Want(t, []string{"uid-ssd on n1"}, []types.UID{"uid-ssd"})
	s.forgetNode("n1")
	q.Want(t, []string{"uid-everywhere on n1", "uid-ssd on n1"}, []types.UID{"uid-everywhere", "uid-ssd"})
}

func TestModelDaemonEvents(t *testing.T) {
	s, q, _ := newTestState()
	s.seeNode(makeNode("n1"))
	s.seeNode(makeNode("n2", labelled("disk", "ssd")))
	q.Want(t, nil, nil)
	see(t, s, makeDaemon("d"))
	q.Want(t, []string{"uid-d on n1", "uid-d on n2"}, []types.UID{"uid-d"})

	// Its own status write comes back as an event of the same generation: no cell is planned.
	wrote := makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Status.NumberReady = 1 })
	see(t, s, wrote)
	q.Want(t, nil, []types.UID{"uid-d"})
	if workload, _ := countersOf(s, keyOf(wrote)); workload.Status.NumberReady != 1 {
		t.Error("the status is compared with a former state")
	}

	see(t, s, makeDaemon("d", generation(2), onlyWhere("disk", "ssd")))
	q.Want(t, []string{"uid-d on n1", "uid-d on n2"}, []types.UID{"uid-d"})
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"})
	wantSteps(t, s, daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"}, createStep)
}

func TestModelCountsTheNewTemplate(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	s.seePod(makePod(set, node, ready(t0)))
	want := daemon.Counters{Desired: 1, Current: 1, Ready: 1, Available: 1, Updated: 1}
	_, got := countersOf(s, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want, +got):\n%s", diff)
	}
	see(t, s, makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].Image, set.Spec.MinReadySeconds = "image:2", 10
	}))
	want.Updated, want.Available = 0, 0
	_, got = countersOf(s, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters after a new template (-want, +got):\n%s", diff)
	}
}

// Nothing happens when a pod becomes available: the plan must ask to look again, and the status be reported.
func TestModelReportsAvailabilityByWaiting(t *testing.T) {
	s, q, c := newTestState()
	set, node := makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 10 }), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	s.seePod(makePod(set, node, ready(t0)))
	key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
	if wake := s.task(key).WakeAt; !wake.Equal(t0.Add(10 * time.Second)) {
		t.Fatalf("WakeAt = %v, want 10s later", wake)
	}
	q.Drain()
	c.Advance(9 * time.Second)
	s.task(key)
	q.Want(t, nil, nil)
	c.Advance(time.Second)
	if wake := s.task(key).WakeAt; !wake.IsZero() {
		t.Errorf("WakeAt = %v, want none", wake)
	}
	q.Want(t, nil, []types.UID{"uid-d"})
	if _, counters := countersOf(s, daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); counters.Available != 1 {
		t.Errorf("available = %d, want 1", counters.Available)
	}
}

func TestModelObjectsAreSortedAndActive(t *testing.T) {
	s, _, _ := newTestState()
	for _, name := range []string{"c", "a", "b"} {
		see(t, s, makeDaemon(name))
	}
	see(t, s, makeDaemon("leaving", deleting))
	s.seePod(makePod(makeDaemon("unseen"), makeNode("n1")))
	var got []string
	for _, object := range s.objects() {
		got = append(got, object.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("objects (-want, +got):\n%s", diff)
	}
}

// history is the cluster as it really is, while a state observes it event by event.
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

// replay replays the state into a new state, in a drawn order.
func (h *history) replay(t *rapid.T) *state {
	s, _, _ := newTestState()
	events := []func(){}
	for _, name := range sortedKeys(h.daemons) {
		events = append(events, func() {
			if err := s.seeRecorded(h.daemons[name]); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, name := range sortedKeys(h.nodes) {
		events = append(events, func() { s.seeNode(h.nodes[name]) })
	}
	for _, name := range sortedKeys(h.pods) {
		events = append(events, func() { s.seePod(h.pods[name]) })
	}
	order := make([]int, len(events))
	for i := range order {
		order[i] = i
	}
	for _, i := range rapid.Permutation(order).Draw(t, "order") {
		events[i]()
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := []string{}
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// play is a history as it happens: to a state, whose requests are worked on at once, and to the
// record that other models replay.
type play struct {
	history
	state    *state
	queues   *fixture.Queues
	planned  map[daemon.CellKey][]string   // the last plan that an event triggered
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
	if err := p.state.seeRecorded(set); err != nil {
		t.Fatal(err)
	}
}

func (p *play) daemonGoes(t *rapid.T) {
	name := drawDaemon.Draw(t, "daemon")
	if set := p.daemons[name]; set != nil {
		delete(p.daemons, name)
		p.state.forgetDaemon(keyOf(set))
	}
}

func (p *play) nodeChanges(t *rapid.T) {
	name := drawNode.Draw(t, "node")
	node := makeNode(name, labelled("disk", rapid.SampledFrom([]string{"ssd", "hdd"}).Draw(t, "disk")),
		incarnation(types.UID(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "incarnation"))))
	p.nodes[name] = node
	p.state.seeNode(node)
}

func (p *play) nodeGoes(t *rapid.T) {
	name := drawNode.Draw(t, "node")
	delete(p.nodes, name)
	p.state.forgetNode(name)
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
	p.state.seePod(pod)
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
	p.state.seePod(pod)
}

func (p *play) podGoes(t *rapid.T) {
	if len(p.pods) == 0 {
		return
	}
	uid := rapid.SampledFrom(sortedKeys(p.pods)).Draw(t, "pod")
	pod := p.pods[uid]
	delete(p.pods, uid)
	p.state.forgetPod(pod)
}

// work plans and reports what events triggered.
func (p *play) work() {
	for _, key := range p.queues.Cells {
		p.planned[key] = fixture.Steps(p.state.task(key).Plan)
	}
	for _, uid := range p.queues.Statuses {
		_, p.reported[uid] = countersOf(p.state, daemon.WorkloadKey{Namespace: "ns", UID: uid})
	}
	p.queues.Drain()
}

// generationOf is that of a daemon, 0 if there is none.
func generationOf(workload *daemon.Workload) int64 {
	if workload == nil {
		return 0
	}
	return workload.Generation
}

// check compares with a state that only observed the outcome.
func (p *play) check(t *rapid.T) {
	p.work()
	replayed := p.replay(t)
	for _, set := range p.daemons {
		workload, got := countersOf(p.state, keyOf(set))
		wantWorkload, want := countersOf(replayed, keyOf(set))
		if diff := cmp.Diff(want, got); diff != "" || generationOf(workload) != generationOf(wantWorkload) {
			t.Fatalf("counters of %s, generations %d and %d (-want, +got):\n%s", set.UID, generationOf(wantWorkload), generationOf(workload), diff)
		}
		if diff := cmp.Diff(want, p.reported[set.UID]); diff != "" {
			t.Fatalf("counters of %s were not reported (-now, +replayed):\n%s", set.UID, diff)
		}
		if wrong := p.state.audit(keyOf(set)); len(wrong) > 0 {
			t.Fatalf("the scrub finds %q", wrong)
		}
		for _, node := range []string{"n1", "n2"} {
			key := keyOf(set).On(node)
			want := fixture.Steps(replayed.task(key).Plan)
			if diff := cmp.Diff(want, fixture.Steps(p.state.task(key).Plan), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("plan of %v (-want, +got):\n%s", key, diff)
			}
			if diff := cmp.Diff(want, p.planned[key], cmpopts.EquateEmpty()); diff != "" && len(want) > 0 {
				t.Fatalf("%v was not planned again (-now, +last planned):\n%s", key, diff)
			}
		}
	}
}

// Whatever happened, a state knows what another one would know that only observed the outcome,
// in any order; and what there is to do now was triggered by an event, or a wakeup was
// lost. When everything is gone nothing is remembered.
func TestModelComesToTheSameEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, q, _ := newTestState()
		p := &play{
			history: history{daemons: map[string]*v1alpha1.DaemonSet{}, nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}},
			state:   s, queues: q,
			planned: map[daemon.CellKey][]string{}, reported: map[types.UID]daemon.Counters{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"daemon": p.daemonChanges, "daemon gone": p.daemonGoes,
			"node": p.nodeChanges, "node gone": p.nodeGoes,
			"pod": p.podComes, "pod changes": p.podChanges, "pod gone": p.podGoes,
			"": p.check,
		})
		for _, pod := range p.pods {
			s.forgetPod(pod)
		}
		for _, set := range p.daemons {
			s.forgetDaemon(keyOf(set))
		}
		if len(s.daemons)+len(s.pods)+len(s.awaited)+len(s.claims.byCell)+len(s.claims.orphans) != 0 {
			t.Fatalf("something is remembered of what is gone: %v, %v, %v, %v", s.daemons, s.pods, s.awaited, s.claims)
		}
	})
}

// Names that a cell waits for are remembered as long as it waits.
func TestModelAwaitsNames(t *testing.T) {
	s, q, _ := newTestState()
	set := makeDaemon("d")
	cell := keyOf(set).On("n1")
	see(t, s, set)
	s.seeNode(makeNode("n1"))
	names := firstNames(set, makeNode("n1"))
	squatter := func(name string) *corev1.Pod {
		return makePod(set, makeNode("n1"), func(pod *corev1.Pod) { pod.OwnerReferences, pod.Name = nil, name })
	}
	for _, name := range names {
		s.setProblem(cell, daemon.Problem{Reason: nameTaken, Message: "both"})
		q.Drain()
		s.forgetPod(squatter(name))
		q.Want(t, []string{"uid-d on n1"}, []types.UID{"uid-d"})
	}
	s.forgetPod(makePod(makeDaemon("other"), makeNode("n1")))
	q.Want(t, nil, nil)
	s.setProblem(cell, daemon.Problem{})
	q.Drain()
	s.forgetPod(squatter(names[0]))
	q.Want(t, nil, nil)
	s.setProblem(cell, daemon.Problem{Reason: nameTaken, Message: "again"})
	s.forgetDaemon(keyOf(set))
	s.forgetNode("n1")
	if len(s.awaited)+len(s.daemons) != 0 {
		t.Errorf("remembered: %v, %v", s.awaited, s.daemons)
	}
}

// History has to follow when the last pod of a revision is gone, not for every pod of a rollout.
func TestModelRecordsWhenARevisionIsGone(t *testing.T) {
	s, q, _ := newTestState()
	set := makeDaemon("d")
	see(t, s, set)
	var pods []*corev1.Pod
	for _, node := range []string{"n1", "n2", "n3"} {
		pod := makePod(set, makeNode(node))
		s.seePod(pod)
		pods = append(pods, pod)
	}
	q.Looked()
	for i, pod := range pods {
		s.forgetPod(pod)
		if records, want := q.Looked(), i/2; len(records) != want {
			t.Errorf("after %d of 3 pods: the history of %q is looked at, want %d", i+1, records, want)
		}
	}
}

// The name of a pod that comes after none that is known is that of no pod which a former process made, nor that of a pod
// from before the node was created again, nor that of a former daemon.
func TestNamesOfFirstPods(t *testing.T) {
	names := map[string]string{}
	first := func(what, nonce string, set *v1alpha1.DaemonSet, node *corev1.Node) {
		s, _, _ := newTestState()
		s.nonce = nonce
		see(t, s, set)
		s.seeNode(node)
		for _, name := range s.task(keyOf(set).On(node.Name)).Names {
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
