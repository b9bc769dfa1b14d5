package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// flipping is a daemon, its controller, and the API server between them, with every delay that there
// may be. Pods are stored under their names, which the present naming makes, so that a name may be
// taken by a pod that is terminating. A plan is carried out one request at a time while the template
// changes; answers may be lost; the watch is late, and after a gap shows only what is there then.
type flipping struct {
	t        *testing.T
	random   *rand.Rand
	cells    Cells
	owner    Template
	strategy Strategy
	now      time.Time
	revision string
	nodes    []string
	stored   map[string]*flippingPod // by name: the API server
	watch    []flippingPod           // what it has not shown yet, oldest first
	cached   map[string]flippingPod  // what it showed last, by name
	requests map[string][]request    // what is still to be sent of a plan, by node
	madeOne  map[string]bool         // whether the plan that is being sent made a pod, by node
	made     int
	log      []string

	loses bool // answers may be lost
}

type flippingPod struct {
	Pod
	node  string
	surge bool
	gone  bool
}

// request is an action with what it was planned with.
type request struct {
	Action
	revision, name string
}

func newFlipping(t *testing.T, seed uint64, loses bool, strategy Strategy) *flipping {
	f := &flipping{
		t: t, random: rand.New(rand.NewPCG(seed, 4)), strategy: strategy, now: t0, loses: loses,
		owner: Template{
			Owner:     *metav1.NewControllerRef(&metav1.ObjectMeta{Name: "d", UID: "uid-d"}, v1alpha1.DaemonSetKind),
			Namespace: "ns", Name: "d",
		},
		stored: map[string]*flippingPod{}, cached: map[string]flippingPod{}, requests: map[string][]request{}, madeOne: map[string]bool{},
	}
	f.update("a")
	for i := range 2 + f.random.IntN(5) {
		node := fmt.Sprintf("n%d", i)
		f.nodes = append(f.nodes, node)
		f.cells.SetNode(node, types.UID(node), eligible, f.now)
		pod := f.create(f.owner.PodName(node, "", false), node, "a", false)
		pod.Bound, pod.Ready, pod.ReadySince = true, true, f.now
		f.show(pod)
	}
	f.catchUp()
	return f
}

func (f *flipping) notef(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *flipping) failf(format string, args ...any) {
	f.t.Helper()
	f.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(f.log[max(0, len(f.log)-60):], "\n"))
}

func (f *flipping) update(revision string) {
	f.notef("template %s", revision)
	f.revision = revision
	f.cells.SetTemplate(revision, 0, f.strategy, f.now)
}

func (f *flipping) create(name, node, revision string, surge bool) *flippingPod {
	f.made++
	pod := &flippingPod{node: node, surge: surge, Pod: Pod{
		Name: name, UID: types.UID(fmt.Sprintf("u%d", f.made)), Revision: revision, NodeUID: types.UID(node), Created: f.now, Surges: surge,
	}}
	f.stored[name] = pod
	f.show(pod)
	return pod
}

// show has the watch show a pod as it is now, in its time.
func (f *flipping) show(pod *flippingPod) {
	f.made++
	pod.Version = fmt.Sprint(f.made)
	f.watch = append(f.watch, *pod)
}

func (f *flipping) remove(pod *flippingPod) {
	delete(f.stored, pod.Name)
	pod.gone = true
	f.show(pod)
}

// observe is what the handler of the informer does with the next event.
func (f *flipping) observe(pod flippingPod) {
	old, had := f.cached[pod.Name]
	if had && (pod.gone || old.UID != pod.UID) {
		delete(f.cached, pod.Name)
		f.cells.RemovePod(old.node, old.UID, f.now)
	}
	if !pod.gone {
		f.cached[pod.Name] = pod
		f.cells.SetPod(pod.node, &pod.Pod, f.now)
	}
	f.cells.Grant(f.now)
}

// catchUp is a list after a gap: events that were missed never come.
func (f *flipping) catchUp() {
	f.watch = nil
	for _, name := range slices.Sorted(maps.Keys(f.cached)) {
		if _, there := f.stored[name]; !there {
			pod := f.cached[name]
			pod.gone = true
			f.observe(pod)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.stored)) {
		f.observe(*f.stored[name])
	}
}

// plan is what a worker does when it takes up a cell that no other worker has.
func (f *flipping) plan(node string) {
	plan := f.cells.Plan(node, f.now)
	for _, pod := range plan.Doubts {
		if now, there := f.stored[pod.Name]; there && now.UID == pod.UID && !now.Terminating {
			f.cells.Kept(node, pod.UID, f.now)
		} else {
			f.cells.Deleted(node, pod.UID, f.now)
		}
	}
	after := f.cells.After(node)
	if plan.Missed {
		if pod, there := f.stored[f.owner.PodName(node, after, false)]; there {
			f.cells.Made(node, pod.UID, f.now)
		} else {
			f.cells.Unmade(node, f.now)
		}
	}
	f.cells.Sent(node, plan.Actions, f.now)
	for _, action := range plan.Actions {
		sent := request{Action: action, revision: f.revision, name: action.Pod.Name}
		if action.Op == Create {
			sent.name = f.owner.PodName(node, after, false)
			f.madeOne[node] = false
		}
		f.requests[node] = append(f.requests[node], sent)
	}
	f.cells.Grant(f.now)
}

// send has the API server do what was planned first, whatever was learnt meanwhile. When the answer is
// lost the rest of the plan is dropped.
func (f *flipping) send(node string) {
	next := f.requests[node][0]
	f.requests[node] = f.requests[node][1:]
	lost := f.loses && f.random.IntN(6) == 0
	f.madeOne[node] = f.madeOne[node] || next.Op == Create
	holder := f.stored[next.name]
	switch {
	case next.Op == Create && holder == nil:
		f.notef("%s: create %s of %s (%s), answer lost: %v", node, next.name, next.revision, next.Reason, lost)
		pod := f.create(next.name, node, next.revision, next.Reason == ReasonSurge)
		if !lost && f.random.IntN(2) == 0 { // or it is not told which pod it was
			f.cells.Made(node, pod.UID, f.now)
		}
	case next.Op == Delete && holder != nil && holder.UID == next.Pod.UID && (!next.IfUnchanged || holder.Version == next.Pod.Version):
		f.notef("%s: delete %s of %s (%s: %s), answer lost: %v", node, next.name, holder.Revision, next.Reason, next.Message, lost)
		f.delete(holder)
		if !lost {
			f.cells.Deleted(node, next.Pod.UID, f.now)
		}
	}
	if lost {
		delete(f.requests, node)
		f.cells.Lost(node, f.now)
	} else if len(f.requests[node]) == 0 {
		delete(f.requests, node)
		f.cells.Answered(node, f.madeOne[node], f.now)
	}
	f.cells.Grant(f.now)
}

func (f *flipping) delete(pod *flippingPod) {
	if !pod.Bound {
		f.remove(pod)
		return
	}
	if !pod.Terminating {
		pod.Terminating = true
		f.show(pod)
	}
}

// mayBind is the rule of schedplugin/uniqueness: one per node, or two of two revisions of which the later surges.
func (f *flipping) mayBind(pod *flippingPod) bool {
	var twins []*flippingPod
	for _, other := range f.stored {
		if other.node == pod.node && other != pod && other.Bound {
			twins = append(twins, other)
		}
	}
	return len(twins) == 0 || len(twins) == 1 && pod.surge && twins[0].Revision != pod.Revision
}

// steps are what can happen now, sorted, so that a seed is a sequence.
func (f *flipping) steps() []clusterStep {
	var steps []clusterStep
	for _, name := range slices.Sorted(maps.Keys(f.stored)) {
		pod := f.stored[name]
		switch {
		case pod.Terminating:
			steps = append(steps, clusterStep{"gone", func() { f.notef("%s is gone", pod.Name); f.remove(pod) }})
		case !pod.Bound && f.mayBind(pod):
			steps = append(steps, clusterStep{"bound", func() { pod.Bound = true; f.show(pod) }})
		case pod.Bound && !pod.Ready:
			steps = append(steps, clusterStep{"ready", func() { f.notef("%s is ready", pod.Name); pod.Ready, pod.ReadySince = true, f.now; f.show(pod) }})
		}
	}
	for _, node := range f.nodes {
		if len(f.requests[node]) > 0 {
			steps = append(steps, clusterStep{"send", func() { f.send(node) }})
		} else if plan := f.cells.Plan(node, f.now); len(plan.Actions) > 0 || plan.Asks() {
			steps = append(steps, clusterStep{"plan", func() { f.plan(node) }})
		}
	}
	if len(f.watch) > 0 {
		steps = append(steps, clusterStep{"event", func() { next := f.watch[0]; f.watch = f.watch[1:]; f.observe(next) }})
		if f.random.IntN(20) == 0 {
			steps = append(steps, clusterStep{"gap", func() { f.notef("gap"); f.catchUp() }})
		}
	}
	return steps
}

// check holds S1 and S4 in the API server's truth.
func (f *flipping) check() {
	f.t.Helper()
	maxUnavailable, maxSurge := f.strategy.limits(len(f.nodes))
	if f.strategy.surges() {
		maxUnavailable = 0
	} else {
		maxSurge = 0
	}
	unavailable, surging := []string{}, []string{}
	for _, node := range f.nodes {
		alive, available, bound := 0, false, map[string]int{}
		for _, pod := range f.stored {
			if pod.node != node {
				continue
			}
			if pod.Bound {
				bound[pod.Revision]++
			}
			if !pod.Terminating {
				alive++
				available = available || pod.Ready
			}
		}
		if !available {
			unavailable = append(unavailable, node)
		}
		if alive > 1 {
			surging = append(surging, node)
		}
		if len(bound) > 2 || slices.Max(append(slices.Collect(maps.Values(bound)), 0)) > 1 {
			f.failf("S1: on %s are bound %v", node, bound)
		}
	}
	if len(unavailable) > maxUnavailable {
		f.failf("S4: %v are without an available pod, %d may be", unavailable, maxUnavailable)
	}
	if len(surging) > maxSurge {
		f.failf("S4: %v surge, %d may", surging, maxSurge)
	}
}

// run lets things happen in any order while the template changes, and then until nothing can any more.
func (f *flipping) run(flips int) {
	f.t.Helper()
	for range flips {
		f.update([]string{"a", "b", "a", "b", "c"}[f.random.IntN(5)])
		f.cells.Grant(f.now)
		for range f.random.IntN(12) {
			f.step()
		}
	}
	for range 3000 {
		if f.step() {
			continue
		}
		f.now = f.now.Add(seenAfter)
		f.steps() // every cell is planned when its time comes
		if !f.step() {
			f.done()
			return
		}
	}
	f.failf("the rollout does not end")
}

func (f *flipping) step() (some bool) {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	f.cells.Grant(f.now)
	steps := f.steps()
	if len(steps) == 0 {
		return false
	}
	steps[f.random.IntN(len(steps))].do()
	f.check()
	return true
}

// done wants one available pod of the present template on every node, and nothing that was counted left.
func (f *flipping) done() {
	f.t.Helper()
	for _, node := range f.nodes {
		var pods []string
		for _, pod := range f.stored {
			if pod.node == node {
				pods = append(pods, fmt.Sprintf("%s ready=%v", pod.Revision, pod.Ready))
			}
		}
		if !slices.Equal(pods, []string{f.revision + " ready=true"}) {
			f.failf("L1: %s ends with %v, want one of %s", node, pods, f.revision)
		}
	}
	if wrong := f.cells.Audit(f.now); len(wrong) > 0 {
		f.failf("the counters have drifted: %v", wrong)
	}
}

// S1 and S4 hold after every step while the template changes back and forth, whatever is under way.
func TestRolloutFlips(t *testing.T) {
	const runs = 120
	first := uint64(time.Now().UnixNano())
	for name, strategy := range strategies {
		for _, loses := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/answers are lost %v", name, loses), func(t *testing.T) {
				for i := range runs {
					seed := uint64(i)
					if i%4 == 3 {
						seed = first + uint64(i)
					}
					t.Logf("seed %d", seed)
					f := newFlipping(t, seed, loses, strategy)
					f.run(1 + f.random.IntN(12))
				}
			})
		}
	}
}
