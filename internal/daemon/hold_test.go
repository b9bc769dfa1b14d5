package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// rollingOut is a cluster whose rollout holds nodes back. What may be admitted is computed here by other means than in production:
// from all nodes at once.
type rollingOut struct {
	*staged
	spec   v1alpha1.Rollout
	labels map[string]map[string]string
	// allowed are the nodes that were admitted; begun are those of them that may be so by the present rollout: they were updated,
	// or in the middle of it, when the rollout changed.
	allowed, begun map[string]bool
	state          string // of the rollout, at the last edit
}

func newRollingOut(t *testing.T, nodes int, strategy Strategy) *rollingOut {
	r := &rollingOut{staged: newStaged(t, nodes, strategy), labels: map[string]map[string]string{}, allowed: map[string]bool{}, begun: map[string]bool{}}
	for i, node := range r.nodes {
		r.labels[node] = map[string]string{"zone": string(rune('a' + i%3)), "canary": fmt.Sprint(i%4 == 0)}
	}
	r.cells.Facts = func(node string) *NodeFacts { return &NodeFacts{Name: node, Labels: r.labels[node]} }
	r.targets = r.cells.TargetOf
	r.stable = "r1"
	return r
}

// set changes spec.rollout.
func (r *rollingOut) set(what string, change func(*v1alpha1.Rollout)) {
	r.t.Helper()
	change(&r.spec)
	hold, err := NewHold(&r.spec)
	if err != nil {
		r.t.Fatal(err)
	}
	r.notef("spec.rollout: %s", what)
	r.holding = hold
	r.edited()
}

// template changes the template.
func (r *rollingOut) template(revision string) {
	r.notef("template %s", revision)
	r.revision = revision
	r.edited()
}

// edited has every cell decided by a new state of the rollout. Nodes may leave the allowed set only now.
func (r *rollingOut) edited() {
	r.renew()
	state := fmt.Sprint(r.holding.text, r.revision, r.stable)
	if state == r.state { // no edit
		r.checkAllowed()
		return
	}
	r.state = state
	r.allowed, r.begun = map[string]bool{}, map[string]bool{}
	for _, node := range r.nodes {
		pods := r.podsOn(node)
		alive := slices.ContainsFunc(pods, func(pod *Pod) bool { return !pod.Terminating && !pod.Finished })
		if r.has(node) || !alive {
			r.begun[node] = true
		}
	}
	r.checkAllowed()
}

// promote makes the update revision stable once it is proven.
func (r *rollingOut) promote() bool {
	if !r.cells.Proven() {
		return false
	}
	r.checkProven()
	r.notef("%s is stable", r.revision)
	r.stable = r.revision
	r.edited()
	return true
}

func (r *rollingOut) checkProven() {
	r.t.Helper()
	for _, node := range r.nodes {
		pods := r.podsOn(node)
		if r.verdicts[node].ShouldRun && !slices.ContainsFunc(pods, func(pod *Pod) bool { return pod.Ready && pod.Revision == r.revision }) {
			r.failf("%s is proven, and node %s has pods %+v", r.revision, node, pods)
		}
	}
	if r.spec.Paused || r.spec.NodeSelector != nil {
		r.failf("%s is proven while %s", r.revision, r.holding.why())
	}
}

// admit lets the rollout admit what it may.
func (r *rollingOut) admit() {
	for {
		nodes := r.cells.Admissible(2)
		if len(nodes) == 0 {
			return
		}
		for _, node := range nodes {
			if !r.cells.Admit(node, r.verdicts[node], r.now) {
				r.failf("node %s may be admitted, and is not", node)
			}
			r.notef("%s: admitted", node)
		}
	}
}

// checkAllowed holds the allowed set to the rollout.
func (r *rollingOut) checkAllowed() {
	r.t.Helper()
	desired, admitted, entered := 0, 0, false
	for _, node := range r.nodes {
		target := r.cells.TargetOf(node)
		if target != r.revision && target != r.stable {
			r.failf("the target of %s is %s", node, target)
		}
		allows := target == r.revision
		if r.stable != r.revision && r.allowed[node] && !allows {
			r.failf("node %s left the allowed set", node)
		}
		if allows && !r.allowed[node] && r.stable != r.revision && !r.begun[node] && !r.mayEnter(node) {
			r.failf("node %s entered the allowed set: %s, labels %v, pods %v", node, r.holding.why(), r.labels[node], cmp.Diff([]*Pod(nil), r.podsOn(node)))
		}
		entered = entered || allows && !r.allowed[node] && !r.begun[node] && !r.joinsOnUpdate(node)
		r.allowed[node] = allows
		if r.has(node) && !allows {
			r.failf("node %s is updated, and its target is %s", node, target)
		}
		if r.verdicts[node].ShouldRun {
			desired++
			if allows && !r.begun[node] {
				admitted++
			}
		}
	}
	if kept := r.holding.kept(desired); r.stable != r.revision && kept > 0 && entered && admitted > desired-kept+r.joinedOnUpdate() {
		r.failf("%d of %d nodes are admitted, %d keep the stable revision", admitted, desired, kept)
	}
}

// has reports whether a node has a pod of the update revision.
func (r *rollingOut) has(node string) bool {
	return slices.ContainsFunc(r.podsOn(node), func(pod *Pod) bool { return pod.Revision == r.revision })
}

// mayEnter reports whether the rollout lets a node enter the allowed set.
func (r *rollingOut) mayEnter(node string) bool {
	if r.joinsOnUpdate(node) {
		return true
	}
	return !r.spec.Paused && (r.spec.NodeSelector == nil || r.labels[node]["canary"] == "true")
}

// joinsOnUpdate reports whether a node enters the allowed set because it joined.
func (r *rollingOut) joinsOnUpdate(node string) bool {
	return strings.HasPrefix(node, joiner) && r.spec.NewNodes == v1alpha1.NewNodesUpdate
}

func (r *rollingOut) joinedOnUpdate() (n int) {
	for _, node := range r.nodes {
		if r.joinsOnUpdate(node) {
			n++
		}
	}
	return n
}

func (r *rollingOut) next(pick func(int) int) bool {
	r.t.Helper()
	r.admit()
	r.checkAllowed()
	if r.spec.Paused {
		if nodes := r.cells.Grant(r.now); len(nodes) > 0 {
			r.failf("a paused rollout permits %v", nodes)
		}
	}
	did := r.staged.next(pick)
	r.checkAllowed()
	return did
}

func (r *rollingOut) settle(pick func(int) int) {
	r.t.Helper()
	idle := 0
	for range 10_000 {
		if r.next(pick) || r.promote() {
			idle = 0
			continue
		}
		if idle++; idle > 40 {
			if !r.spec.Paused {
				r.atRest()
			}
			if wrong := r.cells.Audit(r.now); len(wrong) > 0 {
				r.failf("the audit finds %q", wrong)
			}
			return
		}
		r.now = r.now.Add(time.Minute)
	}
	r.failf("it does not come to an end")
}

// joins has a node join, and reports the revision of its pod.
func (r *rollingOut) joins(labels map[string]string) (revision string) {
	r.labels[fmt.Sprintf("%s%d", joiner, r.joined)] = labels
	r.join()
	node := r.nodes[len(r.nodes)-1]
	r.act(node)
	if pods := r.podsOn(node); len(pods) > 0 {
		return pods[0].Revision
	}
	return ""
}

func (r *rollingOut) updated() (nodes []string) {
	for _, node := range r.nodes {
		if slices.ContainsFunc(r.podsOn(node), func(pod *Pod) bool { return pod.Revision == r.revision }) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

func (r *rollingOut) wantUpdated(nodes ...string) {
	r.t.Helper()
	if diff := cmp.Diff(nodes, r.updated()); diff != "" {
		r.t.Errorf("updated nodes (-want, +got):\n%s\n%s", diff, strings.Join(r.log, "\n"))
	}
}

func partition(value string) func(*v1alpha1.Rollout) {
	return func(spec *v1alpha1.Rollout) { of := intstr.Parse(value); spec.Partition = &of }
}

func canaries(spec *v1alpha1.Rollout) {
	spec.NodeSelector = &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"canary": "true"}}
}

func everyNode(spec *v1alpha1.Rollout) { spec.NodeSelector = nil }
func pause(spec *v1alpha1.Rollout)     { spec.Paused = true }
func resume(spec *v1alpha1.Rollout)    { spec.Paused = false }

func newNodes(of v1alpha1.NewNodes) func(*v1alpha1.Rollout) {
	return func(spec *v1alpha1.Rollout) { spec.NewNodes = of }
}

func first(int) int { return 0 }

// A partition is opened step by step, and raised again: the nodes are those that come first, none is rolled back, and a pod that
// dies comes back as what its node has.
func TestPartition(t *testing.T) {
	r := newRollingOut(t, 6, unavailable("1"))
	r.set("partition 4", partition("4"))
	r.template("r2")
	r.settle(first)
	r.wantUpdated("n0", "n1")
	for how := range 3 {
		r.dies("n0", how)
		r.dies("n5", how)
		r.settle(first)
		r.wantUpdated("n0", "n1")
	}
	r.set("partition 50%", partition("50%"))
	r.settle(first)
	r.wantUpdated("n0", "n1", "n2")
	r.set("partition 100%", partition("100%"))
	r.settle(first)
	r.wantUpdated("n0", "n1", "n2")
	r.dies("n2", 0)
	r.settle(first)
	r.wantUpdated("n0", "n1", "n2")
	r.set("no partition", partition("0"))
	r.settle(first)
	if r.stable != "r2" {
		t.Errorf("%s is stable, want r2", r.stable)
	}
}

// A template that is replaced in the middle of a rollout: nodes with the abandoned revision come first, and what they have too
// many of returns to the stable revision. Back at the stable template nothing is held back.
func TestPartitionAndAnotherTemplate(t *testing.T) {
	r := newRollingOut(t, 6, unavailable("1"))
	r.set("partition 2", partition("2"))
	r.template("r2")
	r.settle(first)
	r.wantUpdated("n0", "n1", "n2", "n3")
	r.set("partition 3", partition("3"))
	r.template("r3")
	r.settle(first)
	r.wantUpdated("n0", "n1", "n2")
	wantRevisions(t, r.cluster, map[string]string{"n0": "r3", "n1": "r3", "n2": "r3", "n3": "r1", "n4": "r1", "n5": "r1"})
	r.template("r1")
	r.settle(first)
	r.done()
}

// Nodes are updated in the order of their zones, and a joining node finds its place.
func TestOrder(t *testing.T) {
	r := newRollingOut(t, 6, unavailable("1"))
	delete(r.labels["n0"], "zone") // last
	r.set("by zone, partition 3", func(spec *v1alpha1.Rollout) { spec.Order = []string{"zone"}; partition("3")(spec) })
	r.template("r2")
	r.settle(first)
	r.wantUpdated("n1", "n3", "n4") // n3 is in a, n1 and n4 are in b
	r.labels["n5"]["zone"] = "a"
	r.cells.Retarget("n5", r.now)
	r.set("partition 2", partition("2"))
	r.settle(first)
	r.wantUpdated("n1", "n3", "n4", "n5")
	r.set("partition 0", partition("0"))
	r.cells.Grant(r.now)
	if plan := r.cells.Plan("n2", r.now); len(plan.Actions) == 0 {
		t.Error("n2, in zone c, is not the next before n0 without a zone")
	}
	r.settle(first)
	r.done()
}

// Only nodes with the label are updated. One that loses it keeps its pod, and gets the same again; one that gains it is updated.
func TestNodeSelector(t *testing.T) {
	r := newRollingOut(t, 6, unavailable("1"))
	r.set("canaries", canaries)
	r.template("r2")
	r.settle(first)
	r.wantUpdated("n0", "n4")
	for node, canary := range map[string]string{"n0": "false", "n2": "true"} {
		r.labels[node]["canary"] = canary
		r.cells.Retarget(node, r.now)
	}
	r.settle(first)
	r.wantUpdated("n0", "n2", "n4")
	r.dies("n0", 0)
	r.settle(first)
	r.wantUpdated("n0", "n2", "n4")
	r.set("every node", everyNode)
	r.settle(first)
	if r.stable != "r2" {
		t.Errorf("%s is stable, want r2", r.stable)
	}
	// Before it is updated, a node that loses the label is not.
	r.set("canaries", canaries)
	r.template("r3")
	r.labels["n2"]["canary"] = "false"
	if !r.cells.Retarget("n2", r.now) {
		t.Error("n2 lost the label, and its target stays")
	}
	r.allowed["n2"] = false
	r.settle(first)
	r.wantUpdated("n4")
}

// A pause stops what has not begun, and pods that die in it come back as what their nodes have.
func TestPause(t *testing.T) {
	for name, strategy := range map[string]Strategy{"one unavailable": unavailable("1"), "two surge": surge("2")} {
		t.Run(name, func(t *testing.T) {
			r := newRollingOut(t, 6, strategy)
			r.set("nothing", resume)
			r.template("r2")
			for range 7 {
				r.next(first)
			}
			r.set("paused", pause)
			r.settle(first)
			before := r.updated()
			if len(before) == 0 || len(before) == 6 {
				t.Fatalf("%v are updated when the rollout is paused", before)
			}
			for _, node := range slices.Clone(r.nodes) {
				r.dies(node, 0)
			}
			r.settle(first)
			r.wantUpdated(before...)
			r.set("resumed", resume)
			r.settle(first)
			r.done()
		})
	}
}

// What a node gets that joins.
func TestNewNodes(t *testing.T) {
	open := func(*v1alpha1.Rollout) {}
	tests := map[string]struct {
		newNodes v1alpha1.NewNodes
		change   func(*v1alpha1.Rollout)
		want     string
		stays    bool // what it gets does not change as long as the rollout does not
	}{
		"auto, nothing is held":    {"", open, "r2", true},
		"auto, paused":             {"Auto", pause, "r1", true},
		"auto, partition":          {"Auto", partition("100%"), "r1", true},
		"auto, not selected":       {"Auto", canaries, "r1", true},
		"stable, nothing is held":  {"Stable", open, "r1", false},
		"stable, paused":           {"Stable", pause, "r1", true},
		"update, paused":           {"Update", pause, "r2", true},
		"update, not selected":     {"Update", canaries, "r2", true},
		"update, whole partition":  {"Update", partition("100%"), "r2", true},
		"update, nothing is held":  {"Update", open, "r2", true},
		"stable, partition of one": {"Stable", partition("1"), "r1", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRollingOut(t, 3, unavailable("1"))
			r.set("it", newNodes(test.newNodes))
			r.set("and", test.change)
			r.template("r2")
			if got := r.joins(map[string]string{"canary": "false", "zone": "z"}); got != test.want {
				t.Errorf("the node starts with %q, want %s", got, test.want)
			}
			node := r.nodes[3]
			r.settle(first)
			if got := r.podsOn(node)[0].Revision; (got == test.want) != test.stays {
				t.Errorf("it ends with %s, began with %s", got, test.want)
			}
			r.dies(node, 0)
			r.settle(first)
			r.checkAllowed()
		})
	}
}

// What may happen in a rollout happens in any order.
func TestHoldWithChurn(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 1796075493709768271, uint64(time.Now().UnixNano())}
	orders := map[string]func(*rand.Rand) func(int) int{
		"seeded":    func(random *rand.Rand) func(int) int { return random.IntN },
		"the first": func(*rand.Rand) func(int) int { return first },
		"the last":  func(*rand.Rand) func(int) int { return func(n int) int { return n - 1 } },
	}
	for name, strategy := range strategies {
		for order, pick := range orders {
			for _, seed := range seeds {
				t.Run(fmt.Sprintf("%s/%s/seed %d", name, order, seed), func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 7))
					r := newRollingOut(t, 8, strategy)
					r.set("nothing", resume)
					r.template("r2")
					for range 120 {
						r.happens(random)
						r.checkTargets()
						r.checkAllowed()
						r.next(pick(random))
						r.promote()
					}
					r.settle(pick(random))
					r.set("nothing is held", func(spec *v1alpha1.Rollout) { *spec = v1alpha1.Rollout{} })
					r.settle(pick(random))
					if r.stable != r.revision {
						r.failf("%s is stable, want %s", r.stable, r.revision)
					}
				})
			}
		}
	}
}

// happens lets one thing happen.
func (r *rollingOut) happens(random *rand.Rand) {
	node := r.nodes[random.IntN(len(r.nodes))]
	one := func(of ...func(*v1alpha1.Rollout)) func(*v1alpha1.Rollout) { return of[random.IntN(len(of))] }
	switch random.IntN(24) {
	case 0, 1, 2:
		r.dies(node, random.IntN(3))
	case 3:
		r.joins(map[string]string{"canary": fmt.Sprint(random.IntN(2) == 0), "zone": "a"})
	case 4:
		if len(r.nodes) > 3 {
			r.leave(node)
			delete(r.allowed, node)
		}
	case 5:
		r.set("a partition", partition(fmt.Sprint([]string{"0", "1", "3", "100", "30%", "99%", "100%"}[random.IntN(7)])))
	case 6:
		r.set("pause", one(pause, resume, resume))
	case 7:
		r.set("a selector", one(canaries, everyNode))
	case 8:
		r.set("new nodes", newNodes([]v1alpha1.NewNodes{"", "Auto", "Stable", "Update"}[random.IntN(4)]))
	case 9:
		r.set("an order", func(spec *v1alpha1.Rollout) {
			spec.Order = [][]string{nil, {"zone"}, {"canary", "zone"}}[random.IntN(3)]
		})
	case 10, 11:
		r.template([]string{"r1", "r2", "r3", "r4"}[random.IntN(4)])
	case 12, 13:
		r.labels[node] = maps.Clone(r.labels[node])
		r.labels[node][[]string{"canary", "zone"}[random.IntN(2)]] = []string{"true", "false"}[random.IntN(2)]
		r.cells.Retarget(node, r.now)
		if r.cells.TargetOf(node) != r.revision && !r.has(node) { // its own labels may take it out before it was updated
			delete(r.allowed, node)
		}
	case 14:
		r.turn(node, []Verdict{eligible, noSchedule}[random.IntN(2)])
	}
}

// The story as a reviewer reads it.
func TestHoldGoldenLog(t *testing.T) {
	r := newRollingOut(t, 5, unavailable("1"))
	r.set("partition 3, by zone", func(spec *v1alpha1.Rollout) { spec.Order = []string{"zone"}; partition("3")(spec) })
	r.template("r2")
	r.settle(first)
	r.dies("n0", 0)
	r.dies("n1", 0)
	r.settle(first)
	r.joins(map[string]string{"zone": "a"})
	r.settle(first)
	r.set("partition 0", partition("0"))
	r.settle(first)
	wantLog(t, "hold-partition", r.log)
}

// A state of the rollout is decided at a cost of one count for each cell, and an event of a pod at the cost of its cell,
// however many nodes are held back.
func TestHoldCost(t *testing.T) {
	r := newRollingOut(t, 200, unavailable("1"))
	r.set("partition 90%", partition("90%"))
	before := r.cells.Recounts()
	r.template("r2")
	if counted := r.cells.Recounts() - before; counted > 200 {
		t.Errorf("a new template counts %d cells, want at most one for each of 200", counted)
	}
	r.admit()
	before = r.cells.Recounts()
	r.ready(r.podsOn("n199")[0])
	r.admit()
	if counted := r.cells.Recounts() - before; counted > 1 {
		t.Errorf("an event of a pod counts %d cells, want its own", counted)
	}
}

func TestNewHold(t *testing.T) {
	many := make([]v1alpha1.RolloutNodeRequirement, 300)
	for i := range many {
		many[i] = v1alpha1.RolloutNodeRequirement{Key: "k", Operator: "In", Values: make([]string, 9)}
	}
	tests := map[string]struct {
		spec v1alpha1.Rollout
		want string
	}{
		"empty":                         {v1alpha1.Rollout{}, ""},
		"a negative partition":          {v1alpha1.Rollout{Partition: &intstr.IntOrString{IntVal: -1}}, "spec.rollout.partition"},
		"more than all":                 {v1alpha1.Rollout{Partition: &intstr.IntOrString{Type: intstr.String, StrVal: "101%"}}, "spec.rollout.partition"},
		"no percentage":                 {v1alpha1.Rollout{Partition: &intstr.IntOrString{Type: intstr.String, StrVal: "some"}}, "spec.rollout.partition"},
		"too many keys":                 {v1alpha1.Rollout{Order: []string{"a", "b", "c", "d"}}, "spec.rollout.order"},
		"no such value":                 {v1alpha1.Rollout{NewNodes: "Sometimes"}, "spec.rollout.newNodes"},
		"a large selector":              {v1alpha1.Rollout{NodeSelector: &v1alpha1.RolloutNodeSelector{MatchExpressions: many}}, "at most"},
		"an operator that is not known": {v1alpha1.Rollout{NodeSelector: &v1alpha1.RolloutNodeSelector{MatchExpressions: []v1alpha1.RolloutNodeRequirement{{Key: "k", Operator: "Is"}}}}, "spec.rollout.nodeSelector"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewHold(&test.spec)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// Percentages of a partition round down: at least one node is updated below 100%.
func TestKept(t *testing.T) {
	for desired := range 60 {
		for percent := range 101 {
			of := intstr.FromString(fmt.Sprintf("%d%%", percent))
			hold, err := NewHold(&v1alpha1.Rollout{Partition: &of})
			if err != nil {
				t.Fatal(err)
			}
			kept := hold.kept(desired)
			if percent < 100 && desired > 0 && kept >= desired || percent == 100 && kept != desired || kept*100 > desired*percent {
				t.Fatalf("%d%% of %d nodes: %d keep the stable revision", percent, desired, kept)
			}
		}
	}
}

// The annotation pauses a rollout, also of a daemon without spec.rollout.
func TestPausedByAnnotation(t *testing.T) {
	spec := &v1alpha1.Rollout{Order: []string{"zone"}}
	tests := map[string]struct {
		value string
		spec  *v1alpha1.Rollout
		want  *v1alpha1.Rollout
	}{
		"neither":      {"", nil, nil},
		"not true":     {"yes", nil, nil},
		"only that":    {"true", nil, &v1alpha1.Rollout{Paused: true, DeadNodes: &v1alpha1.DeadNodes{Policy: v1alpha1.DeadNodesCount}}},
		"with a spec":  {"true", spec, &v1alpha1.Rollout{Paused: true, Order: []string{"zone"}}},
		"spec is kept": {"", spec, &v1alpha1.Rollout{Order: []string{"zone"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set := &v1alpha1.DaemonSet{Spec: v1alpha1.DaemonSetSpec{Rollout: test.spec}}
			set.Annotations = map[string]string{v1alpha1.PausedAnnotation: test.value}
			if diff := cmp.Diff(test.want, FromEverynode(set).Rollout); diff != "" {
				t.Errorf("rollout (-want, +got):\n%s", diff)
			}
		})
	}
}

// A node that is created again under its name joins.
func TestRecreatedNodeJoins(t *testing.T) {
	var cells Cells
	hold, err := NewHold(&v1alpha1.Rollout{Paused: true})
	if err != nil {
		t.Fatal(err)
	}
	cells.Renew(RolloutState{Update: "r2", Stable: "r1", Hold: hold}, 0, unavailable("1"))
	cells.SetNode("n1", "first", eligible, t0)
	cells.SetPod("n1", &Pod{UID: "p", Revision: "r2", NodeUID: "first", Bound: true, Ready: true}, t0)
	if got := cells.TargetOf("n1"); got != "r2" {
		t.Errorf("the target of an updated node is %s", got)
	}
	cells.SetNode("n1", types.UID("second"), eligible, t0)
	if got := cells.TargetOf("n1"); got != "r1" {
		t.Errorf("the target of a node that was created again is %s, want r1", got)
	}
}
