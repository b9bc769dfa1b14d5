package cells

import (
	"cmp"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// fleet is a Reconciler of daemon d on any number of nodes, with an informer that never lags behind.
type fleet struct {
	*stage
	seen  map[types.UID]*corev1.Pod
	nodes []string
}

func newFleet(t *testing.T, nodes []*corev1.Node, change ...func(*v1alpha1.DaemonSet)) *fleet {
	t.Helper()
	f := &fleet{stage: newStage(t, change...), seen: map[types.UID]*corev1.Pod{}}
	f.state.ForgetNode(f.node.Name)
	for _, node := range nodes {
		f.state.SeeNode(node)
		f.nodes = append(f.nodes, node.Name)
	}
	return f
}

// fleetOf returns a fleet with a number of nodes, from n0 on, and a number of blue ones.
func fleetOf(plain, blue int) []*corev1.Node {
	var nodes []*corev1.Node
	for i := range plain + blue {
		node := makeNode(fmt.Sprintf("n%d", i))
		if i >= plain {
			labelled("color", "blue")(node)
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// pass reconciles every cell once.
func (f *fleet) pass(t *testing.T) (answers map[string]int) {
	t.Helper()
	answers = map[string]int{}
	for _, node := range f.nodes {
		answers[outcome(f.reconciler.Reconcile(t.Context(), fixture.Key(f.set).On(node)))]++
	}
	return answers
}

// inform passes the stored objects to the model.
func (f *fleet) inform(t *testing.T) {
	t.Helper()
	stored := map[types.UID]*corev1.Pod{}
	for _, pod := range f.Pods(t) {
		pod.UID = cmp.Or(pod.UID, types.UID("uid-"+pod.Name)) // the fake API server sets none
		stored[pod.UID] = &pod
		f.state.SeePod(&pod)
	}
	for uid, pod := range f.seen {
		if stored[uid] == nil {
			f.state.ForgetPod(pod)
		}
	}
	f.seen = stored
}

// settle works until nothing is left to do, and counts the created pods.
func (f *fleet) settle(t *testing.T) (made int) {
	t.Helper()
	for range 10 {
		before := len(f.Deletes) + len(f.Seen)
		f.Requests = nil
		f.pass(t)
		made += len(f.Requests)
		f.inform(t)
		if len(f.Requests) == 0 && len(f.Deletes)+len(f.Seen) == before {
			return made
		}
	}
	t.Fatal("it does not converge")
	return made
}

func onNode(name string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.NodeName = name }
}

func combined(changes ...func(*v1alpha1.DaemonSet)) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		for _, change := range changes {
			change(set)
		}
	}
}

// A fleet converges: missing pods are created, excess and misplaced pods are
// deleted, and pods whose labels the selector does not match are released and do not count.
func TestFleetConverges(t *testing.T) {
	blue := onlyWhere("color", "blue")
	tests := map[string]struct {
		nodes                 []*corev1.Node
		change                func(*v1alpha1.DaemonSet)
		own                   map[string]int // how many pods the daemon has, by node
		noLongerSelected      map[string]int // and how many of other labels
		wantMade, wantDeleted int
	}{
		"no nodes":                           {},
		"one node":                           {nodes: fleetOf(1, 0), wantMade: 1},
		"five nodes":                         {nodes: fleetOf(5, 0), wantMade: 5},
		"a selector":                         {nodes: fleetOf(4, 3), change: blue, wantMade: 3},
		"a selector that matches none":       {nodes: fleetOf(4, 3), change: onlyWhere("color", "red")},
		"a name":                             {nodes: fleetOf(5, 0), change: onNode("n0"), wantMade: 1},
		"a name that does not exist":         {nodes: fleetOf(5, 0), change: onNode("n10")},
		"a name and a selector":              {nodes: fleetOf(4, 3), change: combined(blue, onNode("n6")), wantMade: 1},
		"a name that the selector rules out": {nodes: fleetOf(4, 3), change: combined(blue, onNode("n0"))},
		"existing pods": {
			nodes: fleetOf(5, 0), own: map[string]int{"n1": 1, "n2": 2, "n3": 5}, noLongerSelected: map[string]int{"n4": 2},
			wantMade: 2, wantDeleted: 5,
		},
		"pods where the selector wants none": {
			nodes: fleetOf(5, 5), change: blue, own: map[string]int{"n1": 3, "n4": 1}, noLongerSelected: map[string]int{"n0": 2, "n1": 1},
			wantMade: 5, wantDeleted: 4,
		},
		"pods where it wants some, and where it wants none": {
			nodes: fleetOf(5, 5), change: blue, own: map[string]int{"n0": 1, "n1": 3, "n2": 4, "n6": 13, "n9": 1}, noLongerSelected: map[string]int{"n1": 2, "n7": 4, "n9": 1},
			wantMade: 3, wantDeleted: 20,
		},
	}
	for name, test := range tests {
		for strategy, as := range map[string]func(*v1alpha1.DaemonSet){"OnDelete": func(*v1alpha1.DaemonSet) {}, "RollingUpdate": oneUnavailable, "surge": surging} {
			t.Run(name+", "+strategy, func(t *testing.T) {
				if test.change == nil {
					test.change = func(*v1alpha1.DaemonSet) {}
				}
				f := newFleet(t, test.nodes, combined(test.change, as))
				noLongerSelected := 0
				for node, count := range test.own {
					f.place(t, node, count)
				}
				for node, count := range test.noLongerSelected {
					f.place(t, node, count, relabelled)
					noLongerSelected += count
				}
				f.inform(t)
				if made := f.settle(t); made != test.wantMade || len(f.Deletes) != test.wantDeleted {
					t.Errorf("%d created, %d deleted, want %d and %d", made, len(f.Deletes), test.wantMade, test.wantDeleted)
				}
				f.wantOneEach(t, test.wantMade, noLongerSelected)
			})
		}
	}
}

// place stores pods of the daemon that are bound to a node.
func (f *fleet) place(t *testing.T, node string, count int, change ...func(*corev1.Pod)) {
	t.Helper()
	for i := range count {
		pod := makePod(f.set, makeNode(node), change...)
		pod.Name = fmt.Sprintf("%s-%s-%d", node, pod.Labels["app"], i)
		pod.UID = types.UID(pod.Name)
		f.store(t, pod)
		if err := f.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			t.Fatal(err)
		}
		pod.Spec.NodeName = node
		if err := f.Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
}

// wantOneEach expects one pod on each eligible node and none elsewhere, new pods
// pinned and not bound, and a number of released ones.
func (f *fleet) wantOneEach(t *testing.T, made, noLongerSelected int) {
	t.Helper()
	on, unbound, free := map[string]int{}, 0, 0
	for _, pod := range f.Pods(t) {
		if !metav1.IsControlledBy(&pod, f.set) {
			free++
			continue
		}
		if pod.Spec.NodeName == "" {
			unbound++
		}
		node, pinned := daemon.Target(&pod)
		if on[node]++; !pinned || on[node] > 1 {
			t.Errorf("pod %s is one of %d on %q", pod.Name, on[node], node)
		}
	}
	_, health := f.state.Health(fixture.Key(f.set))
	counters := health.Counters
	if len(on) != counters.Desired || counters.Current != counters.Desired || counters.Misscheduled > 0 {
		t.Errorf("pods on %d nodes, counters %+v; want one on each", len(on), counters)
	}
	if unbound != made || free != noLongerSelected {
		t.Errorf("%d pods wait for their node, %d were released, want %d and %d", unbound, free, made, noLongerSelected)
	}
}

// A quota admits ten pods of a hundred: one more is requested, not ninety, and the existing ones
// are counted.
func TestFleetUnderAQuota(t *testing.T) {
	f := newFleet(t, fleetOf(100, 0))
	refused := 0
	for i, node := range f.nodes {
		if i == 10 {
			f.Refuse = errQuota()
		}
		if outcome(f.reconciler.Reconcile(t.Context(), fixture.Key(f.set).On(node))) == failed {
			refused++
		}
	}
	f.inform(t)
	_, health := f.state.Health(fixture.Key(f.set))
	want := daemon.Counters{Desired: 100, Current: 10, Updated: 10, Pending: 10}
	if health.Counters != want || refused != 1 || len(f.Requests) != 11 || len(health.Problems) != 90 {
		t.Errorf("counters %+v, %d refused, %d requests, %d problems; want %+v, 1, 11 and 90", health.Counters, refused, len(f.Requests), len(health.Problems), want)
	}
	f.Refuse = nil
	f.clock.Advance(answers.RefusedBackOff)
	if made := f.settle(t); made != 90 {
		t.Errorf("%d pods are created without the quota, want 90", made)
	}
}
