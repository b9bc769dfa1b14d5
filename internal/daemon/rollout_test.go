package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// cluster is a daemon's pods as they really are. Plans are carried out on it, in any order, and
// the cells observe what happens to pods.
type cluster struct {
	t        *testing.T
	cells    Cells
	now      time.Time
	revision string
	policy   TargetPolicy
	holding  *Hold
	stable   string
	wave     int
	strategy Strategy
	pods     map[types.UID]*Pod
	nodeOf   map[types.UID]string
	nodes    []string
	made     int
	log      []string
}

func newCluster(t *testing.T, nodes int, strategy Strategy) *cluster {
	c := &cluster{t: t, now: t0, strategy: strategy, pods: map[types.UID]*Pod{}, nodeOf: map[types.UID]string{}}
	c.update("r1")
	for i := range nodes {
		node := fmt.Sprintf("n%d", i)
		c.nodes = append(c.nodes, node)
		c.cells.SetNode(node, types.UID(node), eligible, c.now)
		c.make(node, c.revision, false)
		c.ready(c.podsOn(node)[0])
	}
	c.log = nil
	return c
}

func (c *cluster) notef(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

func (c *cluster) update(revision string) {
	c.notef("template %s", revision)
	c.revision = revision
	c.renew()
}

// renew has the cells decide their targets again.
func (c *cluster) renew() {
	state := RolloutState{Update: c.revision, Policy: c.policy, Hold: c.holding, Stable: c.stable, Wave: c.wave}
	c.cells.Renew(state, 0, state.StrategyOf(c.strategy))
	c.cells.Recount(c.cells.Nodes(), c.now)
}

func (c *cluster) make(node, revision string, surges bool) {
	holding := 0
	for _, pod := range c.podsOn(node) {
		if pod.holds() {
			holding++
		}
	}
	if holding > 1 {
		c.t.Fatalf("S1: a pod is created on %s, which has %d", node, holding)
	}
	c.made++
	pod := &Pod{Name: fmt.Sprintf("p%d", c.made), UID: types.UID(fmt.Sprintf("p%d", c.made)), Surges: surges, Revision: revision, NodeUID: types.UID(node), Created: c.now.Add(time.Duration(c.made))}
	c.pods[pod.UID], c.nodeOf[pod.UID] = pod, node
	c.observe(pod)
}

func (c *cluster) observe(pod *Pod) {
	seen := *pod // what was observed does not change any more
	c.cells.SetPod(c.nodeOf[pod.UID], &seen, c.now)
}

func (c *cluster) ready(pod *Pod) {
	pod.Bound, pod.Ready, pod.ReadySince = true, true, c.now
	c.observe(pod)
}

func (c *cluster) gone(pod *Pod) {
	delete(c.pods, pod.UID)
	c.cells.RemovePod(c.nodeOf[pod.UID], pod.UID, c.now)
}

func (c *cluster) podsOn(node string) []*Pod {
	var pods []*Pod
	for _, uid := range slices.Sorted(maps.Keys(c.pods)) {
		if c.nodeOf[uid] == node {
			pods = append(pods, c.pods[uid])
		}
	}
	return pods
}

// act carries out the plan of a node.
func (c *cluster) act(node string) (acted bool) {
	for _, action := range c.cells.Plan(node, c.now).Actions {
		if action.Op == Create {
			c.notef("%s: create %s (%s): %s", node, action.Revision, action.Reason, action.Message)
			c.make(node, action.Revision, action.Reason == ReasonSurge)
			acted = true
			continue
		}
		if pod := c.pods[action.Pod.UID]; !pod.Terminating {
			c.notef("%s: delete %s (%s): %s", node, pod.Name, action.Reason, action.Message)
			pod.Terminating = true
			c.observe(pod)
			acted = true
		}
	}
	return acted
}

// check holds S1 and S4 in the cluster as it really is.
func (c *cluster) check() {
	c.t.Helper()
	maxUnavailable, maxSurge := c.strategy.limits(len(c.nodes))
	if c.cells.terms.surges {
		maxUnavailable = 0
	} else {
		maxSurge = 0
	}
	unavailable, surging := 0, 0
	for _, node := range c.nodes {
		alive, available := 0, false
		revisions := map[string]int{}
		for _, pod := range c.podsOn(node) {
			if !pod.Terminating {
				alive++
				revisions[pod.Revision]++
				available = available || pod.Ready
			}
		}
		if !available {
			unavailable++
		}
		if alive > 1 {
			surging++
		}
		if len(c.podsOn(node)) > 2 || slices.Max(append(slices.Collect(maps.Values(revisions)), 0)) > 1 {
			c.t.Fatalf("S1: node %s has %d pods, of revisions %v\n%s", node, len(c.podsOn(node)), revisions, strings.Join(c.log, "\n"))
		}
	}
	if unavailable > maxUnavailable {
		c.t.Fatalf("S4: %d nodes are without an available pod, at most %d may be\n%s", unavailable, maxUnavailable, strings.Join(c.log, "\n"))
	}
	if surging > maxSurge {
		c.t.Fatalf("S4: %d nodes surge, at most %d may\n%s", surging, maxSurge, strings.Join(c.log, "\n"))
	}
}

// step is one thing that can happen now; steps are sorted, so that a seed means a sequence.
type clusterStep struct {
	name string
	do   func()
}

func (c *cluster) steps() []clusterStep {
	var steps []clusterStep
	for _, uid := range slices.Sorted(maps.Keys(c.pods)) {
		pod := c.pods[uid]
		switch {
		case pod.Terminating:
			steps = append(steps, clusterStep{"gone " + pod.Name, func() { c.gone(pod) }})
		case !pod.Ready:
			steps = append(steps, clusterStep{"ready " + pod.Name, func() { c.ready(pod) }})
		}
	}
	for _, node := range c.nodes {
		if len(c.cells.Plan(node, c.now).Actions) > 0 {
			steps = append(steps, clusterStep{"act " + node, func() { c.act(node) }})
		}
	}
	return steps
}

// run lets things happen, the choice being pick's, until nothing can any more; between any two,
// something else may.
func (c *cluster) run(pick func(n int) int, between func(step int)) {
	c.t.Helper()
	for step := range 10000 {
		c.cells.Grant(c.now)
		c.now = c.now.Add(time.Second)
		steps := c.steps()
		if len(steps) == 0 {
			return
		}
		steps[pick(len(steps))].do()
		c.check()
		if between != nil {
			between(step)
		}
	}
	c.t.Fatal("the rollout does not end")
}

// done wants every node to have one available pod of the current revision, and nothing else.
func (c *cluster) done() {
	c.t.Helper()
	for _, node := range c.nodes {
		pods := c.podsOn(node)
		if len(pods) != 1 || !pods[0].Ready || pods[0].Revision != c.revision {
			c.t.Fatalf("L1: node %s ends with pods %+v, want one of %s\n%s", node, pods, c.revision, strings.Join(c.log, "\n"))
		}
	}
	if r := c.cells.rollout; r.taken+r.surging+r.waiting.Len() != 0 || r.serving != len(c.nodes) {
		c.t.Fatalf("the rollout ends with %d serving, %d taken, %d surging, %d waiting", r.serving, r.taken, r.surging, r.waiting.Len())
	}
}

func unavailable(value string) Strategy { return Strategy{MaxUnavailable: intstr.Parse(value)} }
func surge(value string) Strategy       { return Strategy{MaxSurge: intstr.Parse(value)} }

var strategies = map[string]Strategy{
	"one unavailable":     unavailable("1"),
	"three unavailable":   unavailable("3"),
	"30% unavailable":     unavailable("30%"),
	"all unavailable":     unavailable("100%"),
	"one surges":          surge("1"),
	"25% surge":           surge("25%"),
	"nothing is possible": {},
}

// Whatever the order in which things happen, limits hold after every step and the end is the
// same; also when the template changes twice on the way (k/k#123232: two quick updates must not
// take every pod down).
func TestRolloutSequences(t *testing.T) {
	seeds := []uint64{1, 2, 3, uint64(time.Now().UnixNano())}
	for name, strategy := range strategies {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%s/seed %d", name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				c := newCluster(t, 10, strategy)
				c.update("r2")
				c.run(random.IntN, nil)
				c.done()

				c.update("r3")
				second, back := random.IntN(30), 30+random.IntN(30)
				c.run(random.IntN, func(step int) {
					switch step {
					case second:
						c.update("r4")
					case back:
						c.update("r3")
					}
				})
				c.done()
			})
		}
	}
}

// A strategy that changes on the way loses nothing: no node is without its pod for it.
func TestRolloutStrategyChanges(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		c := newCluster(t, 8, surge("3"))
		c.update("r2")
		for range 5 + random.IntN(15) {
			c.cells.Grant(c.now)
			if steps := c.steps(); len(steps) > 0 {
				steps[random.IntN(len(steps))].do()
			}
		}
		for _, strategy := range []Strategy{unavailable("2"), surge("1"), unavailable("1")} {
			c.strategy = strategy
			c.cells.SetTemplate(c.revision, 0, strategy, c.now)
			for range random.IntN(10) {
				c.cells.Grant(c.now)
				if steps := c.steps(); len(steps) > 0 {
					steps[random.IntN(len(steps))].do()
				}
			}
		}
		for range 1000 {
			c.cells.Grant(c.now)
			steps := c.steps()
			if len(steps) == 0 {
				break
			}
			steps[random.IntN(len(steps))].do()
		}
		c.done()
	}
}

func TestOnDeleteReplacesNothingItself(t *testing.T) {
	c := newCluster(t, 3, Strategy{OnDelete: true})
	c.update("r2")
	if nodes := c.cells.Grant(c.now); len(nodes) > 0 || len(c.steps()) > 0 {
		t.Fatalf("OnDelete grants %v", nodes)
	}
	c.gone(c.podsOn("n1")[0])
	c.run(func(int) int { return 0 }, nil)
	want := map[string]string{"n0": "r1", "n1": "r2", "n2": "r1"}
	for node, revision := range want {
		if got := c.podsOn(node)[0].Revision; got != revision {
			t.Errorf("%s has revision %s, want %s", node, got, revision)
		}
	}
}

// Old pods that are not available go first, at once and for free; the others wait for the limit.
func TestRolloutTakesUnavailablePodsFirst(t *testing.T) {
	c := newCluster(t, 6, unavailable("1"))
	for _, node := range []string{"n2", "n4"} {
		pod := c.podsOn(node)[0]
		pod.Ready = false
		c.observe(pod)
	}
	c.update("r2")
	if diff := cmp.Diff([]string{"n2", "n4"}, c.cells.Grant(c.now)); diff != "" {
		t.Errorf("granted (-want, +got):\n%s", diff)
	}
	for range 10 { // delete both, make both, have one of them ready
		for _, node := range []string{"n2", "n4"} {
			c.act(node)
			for _, pod := range c.podsOn(node) {
				if pod.Terminating {
					c.gone(pod)
				}
			}
		}
	}
	c.ready(c.podsOn("n2")[0])
	if nodes := c.cells.Grant(c.now); len(nodes) > 0 {
		t.Errorf("granted %v while n4 is not available, want none", nodes)
	}
	c.ready(c.podsOn("n4")[0])
	if diff := cmp.Diff([]string{"n0"}, c.cells.Grant(c.now)); diff != "" {
		t.Errorf("granted (-want, +got):\n%s", diff)
	}
	if nodes := c.cells.Grant(c.now); len(nodes) > 0 {
		t.Errorf("granted %v before n0 went, want none", nodes)
	}
}

// A pod that seemed not to be available and is has to wait for its turn; and until it is seen to
// be, its delete carries what was seen.
func TestRolloutDoesNotTakeAPodThatBecameAvailable(t *testing.T) {
	c := newCluster(t, 3, unavailable("1"))
	late := c.podsOn("n2")[0]
	late.Ready, late.Version = false, "7"
	c.observe(late)
	c.update("r2")
	if diff := cmp.Diff([]string{"n2"}, c.cells.Grant(c.now)); diff != "" {
		t.Fatalf("granted (-want, +got):\n%s", diff)
	}
	plan := c.cells.Plan("n2", c.now)
	if len(plan.Actions) != 1 || !plan.Actions[0].IfUnchanged || plan.Actions[0].Pod.Version != "7" {
		t.Fatalf("plan %+v, want a delete of version 7 alone", plan)
	}
	c.ready(late)
	if plan := c.cells.Plan("n2", c.now); len(plan.Actions) > 0 {
		t.Errorf("plan %+v, want the pod to wait for its turn", plan)
	}
	if diff := cmp.Diff([]string{"n0"}, c.cells.Grant(c.now)); diff != "" {
		t.Errorf("granted (-want, +got):\n%s", diff)
	}
	if plan := c.cells.Plan("n0", c.now); len(plan.Actions) != 1 || plan.Actions[0].IfUnchanged {
		t.Errorf("plan %+v, want a delete whatever happened to the pod", plan)
	}
}

// A node where the daemon may stay but not start keeps its old pod: no other could start there.
func TestRolloutLeavesNodesThatTakeNoPod(t *testing.T) {
	c := newCluster(t, 2, unavailable("100%"))
	c.cells.SetNode("n0", "n0", noSchedule, c.now)
	c.update("r2")
	if diff := cmp.Diff([]string{"n1"}, c.cells.Grant(c.now)); diff != "" {
		t.Errorf("granted (-want, +got):\n%s", diff)
	}
	if plan := c.cells.Plan("n0", c.now); len(plan.Actions) > 0 {
		t.Errorf("n0: %+v, want its pod left alone", plan.Actions)
	}
}

// A template that changes back makes granted pods current again: no pod has to be replaced.
func TestRolloutTakesItsLeaveBack(t *testing.T) {
	c := newCluster(t, 4, unavailable("2"))
	c.update("r2")
	if got := c.cells.Grant(c.now); len(got) != 2 {
		t.Fatalf("granted %v, want 2", got)
	}
	c.update("r1")
	for _, node := range c.nodes {
		if plan := c.cells.Plan(node, c.now); len(plan.Actions) > 0 {
			t.Errorf("%s: %+v, want nothing", node, plan.Actions)
		}
	}
	c.done()
}

func TestLimits(t *testing.T) {
	tests := map[string]struct {
		strategy        Strategy
		desired         int
		wantUnavailable int
		wantSurge       int
	}{
		"a number":                    {unavailable("3"), 10, 3, 0},
		"percent round up":            {unavailable("25%"), 10, 3, 0},
		"surge percent round up":      {surge("1%"), 10, 0, 1},
		"neither":                     {Strategy{}, 10, 1, 0},
		"zero percent":                {unavailable("0%"), 10, 1, 0},
		"what is no number counts as": {unavailable("many"), 10, 1, 0},
		"no nodes":                    {unavailable("25%"), 0, 1, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if u, s := test.strategy.limits(test.desired); u != test.wantUnavailable || s != test.wantSurge {
				t.Errorf("limits = %d, %d, want %d, %d", u, s, test.wantUnavailable, test.wantSurge)
			}
		})
	}
}

// The story of a rollout as a reviewer reads it. UPDATE_GOLDEN=1 writes the files again.
func TestRolloutGoldenLogs(t *testing.T) {
	for name, strategy := range map[string]Strategy{"one-unavailable": unavailable("1"), "surge-two": surge("2")} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 4, strategy)
			c.update("r2")
			c.run(func(int) int { return 0 }, nil)
			c.done()
			wantLog(t, "rollout-"+name, c.log)
		})
	}
}

func wantLog(t *testing.T, name string, log []string) {
	t.Helper()
	got, file := strings.Join(log, "\n")+"\n", filepath.Join("testdata", name+".log")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("log (-want, +got):\n%s", diff)
	}
}
