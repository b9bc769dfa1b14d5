package daemon

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// dying is a cluster with a rollout, whose nodes die and return.
type dying struct {
	*cluster
	spec  v1alpha1.Rollout
	facts map[string]*NodeFacts
}

func newDying(t *testing.T, nodes int, strategy Strategy, change ...func(*v1alpha1.Rollout)) *dying {
	d := &dying{cluster: newCluster(t, nodes, strategy), facts: map[string]*NodeFacts{}}
	for _, node := range d.nodes {
		d.facts[node] = &NodeFacts{Name: node, UID: types.UID(node), Ready: corev1.ConditionTrue, ReadySince: d.now}
	}
	d.cells.Facts = func(node string) *NodeFacts { return d.facts[node] }
	d.stable = "r1"
	d.set(change...)
	d.log = nil
	return d
}

// set changes spec.rollout.
func (d *dying) set(change ...func(*v1alpha1.Rollout)) {
	d.t.Helper()
	for _, c := range change {
		c(&d.spec)
	}
	hold, err := NewHold(&d.spec)
	if err != nil {
		d.t.Fatal(err)
	}
	d.holding = hold
	d.renew()
}

func maxShare(value string) func(*v1alpha1.Rollout) {
	return func(spec *v1alpha1.Rollout) {
		share := intstr.Parse(value)
		spec.DeadNodes = &v1alpha1.DeadNodes{MaxShare: &share}
	}
}

func countDead(spec *v1alpha1.Rollout) {
	spec.DeadNodes = &v1alpha1.DeadNodes{Policy: v1alpha1.DeadNodesCount}
}

// turn changes the condition Ready of a node.
func (d *dying) turn(node string, ready corev1.ConditionStatus) {
	d.facts[node] = &NodeFacts{Name: node, UID: types.UID(node), Ready: ready, ReadySince: d.now}
	d.cells.Retarget(node, d.now)
}

// fades has the pods of a node no longer ready.
func (d *dying) fades(node string) {
	for _, pod := range d.podsOn(node) {
		if pod.Ready {
			pod.Ready = false
			d.observe(pod)
		}
	}
}

// die has the kubelet of each node vanish.
func (d *dying) die(nodes ...string) {
	for _, node := range nodes {
		d.turn(node, corev1.ConditionUnknown)
		d.fades(node)
	}
}

func (d *dying) comeBack(nodes ...string) {
	for _, node := range nodes {
		d.turn(node, corev1.ConditionTrue)
	}
}

func (d *dying) isDown(node string) bool { return d.facts[node].Ready != corev1.ConditionTrue }

// wait lets time pass, and plans the cells that are due then.
func (d *dying) wait(long time.Duration) {
	d.now = d.now.Add(long)
	for _, node := range d.nodes {
		d.cells.Plan(node, d.now)
	}
}

// without returns the nodes without an available pod that count, and how many do not, by the cluster as it really is.
func (d *dying) without() (nodes []string) {
	for _, node := range d.nodes {
		pods, facts := d.podsOn(node), d.facts[node]
		if slices.ContainsFunc(pods, func(pod *Pod) bool { return pod.Ready && !pod.Terminating }) {
			continue
		}
		down := facts.Ready == corev1.ConditionFalse || facts.Ready == corev1.ConditionUnknown
		died := down && facts.UID == types.UID(node) && !facts.ReadySince.IsZero() && d.now.Sub(facts.ReadySince) >= time.Minute
		before := d.stable != d.revision && slices.ContainsFunc(pods, func(pod *Pod) bool {
			return pod.Bound && pod.Revision == d.revision && !time.Unix(pod.BoundAt, 0).After(facts.ReadySince)
		})
		if !died || before || d.holding.dead == nil {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// acts carries out the plan of a node, and holds S4.
func (d *dying) acts(node string) (acted bool) {
	d.t.Helper()
	served := slices.ContainsFunc(d.podsOn(node), func(pod *Pod) bool { return pod.Ready && !pod.Terminating })
	acted = d.act(node)
	serves := slices.ContainsFunc(d.podsOn(node), func(pod *Pod) bool { return pod.Ready && !pod.Terminating })
	most, _ := d.strategy.limits(len(d.nodes))
	if without := d.without(); served && !serves && len(without) > most {
		d.t.Fatalf("S4: %d nodes are without an available pod: %v\n%s", len(without), without, strings.Join(d.log, "\n"))
	}
	if acted && d.isDown(node) && d.holding.dead != nil && !d.cells.terms.surges &&
		slices.ContainsFunc(d.podsOn(node), func(pod *Pod) bool { return pod.Terminating }) {
		d.t.Fatalf("a pod of a node that is down is deleted\n%s", strings.Join(d.log, "\n"))
	}
	return acted
}

// moves are what can happen now.
func (d *dying) moves() (moves []func()) {
	for _, node := range d.nodes {
		if len(d.cells.Plan(node, d.now).Actions) > 0 {
			moves = append(moves, func() { d.acts(node) })
		}
		for _, pod := range d.podsOn(node) {
			switch {
			case !pod.Bound && !pod.Terminating:
				moves = append(moves, func() {
					pod.Bound, pod.BoundAt = true, d.now.Unix()
					d.observe(pod)
				})
			case d.isDown(node):
			case pod.Terminating:
				moves = append(moves, func() { d.gone(pod) })
			case !pod.Ready:
				moves = append(moves, func() { d.ready(pod) })
			}
		}
	}
	return moves
}

// go on until nothing happens for some minutes.
func (d *dying) settle(pick func(int) int) {
	d.t.Helper()
	for idle := 0; idle < 5; {
		d.cells.Grant(d.now)
		moves := d.moves()
		switch {
		case len(moves) > 0:
			moves[pick(len(moves))]()
			d.now = d.now.Add(100 * time.Millisecond)
			idle = 0
		case d.cells.Proven():
			d.stable = d.revision
			d.renew()
			idle = 0
		default:
			d.now = d.now.Add(31 * time.Second)
			idle++
		}
	}
	if wrong := d.cells.Audit(d.now); len(wrong) > 0 {
		d.t.Fatalf("the audit finds %q", wrong)
	}
}

// template changes the template.
func (d *dying) template(revision string) {
	d.revision = revision
	d.renew()
}

func (d *dying) health() Health {
	health := d.cells.Health()
	health.Now, health.ReportsWaiting = d.now, true
	health.Rollout = &RolloutHealth{Stable: d.stable, Update: d.revision, Hold: d.holding}
	return health
}

// tell adds what users read to the log.
func (d *dying) tell(what string) {
	health := d.health()
	status := health.RolloutStatus()
	d.notef("%s", what)
	for _, condition := range health.Conditions()[:2] {
		d.notef("  %s=%s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	d.notef("  %s, stable %s; unavailable %+v", status.Phase, status.CurrentRevision, valueOf(status.Unavailable))
}

func valueOf(of *v1alpha1.RolloutUnavailable) v1alpha1.RolloutUnavailable {
	if of == nil {
		return v1alpha1.RolloutUnavailable{}
	}
	return *of
}

func (d *dying) on(revision string) (nodes []string) {
	for _, node := range d.nodes {
		if pods := d.podsOn(node); len(pods) == 1 && pods[0].Revision == revision {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// 288 nodes, 25 of them are not Ready, and 14 may be unavailable: the rollout completes on 263 and says which are left. Without the rule
// it never begins.
func TestTwentyFiveDeadOf288(t *testing.T) {
	story := func(change ...func(*v1alpha1.Rollout)) (d *dying, died []string) {
		d = newDying(t, 288, unavailable("14"), change...)
		for i := range 25 {
			died = append(died, fmt.Sprintf("n%d", 7+11*i))
		}
		d.die(died...)
		d.wait(time.Minute)
		d.template("r2")
		return d, died
	}
	d, died := story()
	d.tell("288 nodes, 25 are dead, 14 may be unavailable; the template changes from r1 to r2")
	told := d.log
	d.settle(first)
	if got := len(d.on("r2")); got != 263 || d.stable != "r2" {
		t.Fatalf("%d nodes are updated, %s is stable", got, d.stable)
	}
	if left := d.on("r1"); !slices.Equal(left, died) {
		t.Fatalf("left are %v, want %v", left, died)
	}
	d.log = told
	d.tell("the rollout ends")
	told = d.log
	d.comeBack(died[:5]...)
	d.settle(first)
	d.log = told
	d.tell("5 of them are Ready again, and updated")
	told = d.log
	d.comeBack(died[5:]...)
	d.settle(first)
	d.log = told
	d.tell("all of them are")
	if got := len(d.on("r2")); got != 288 {
		t.Errorf("%d nodes are updated", got)
	}
	wantLog(t, "dead-25-of-288", d.log)

	counts, _ := story(countDead)
	counts.settle(first)
	if got := len(counts.on("r2")); got > 25 || counts.stable != "r1" {
		t.Errorf("with policy Count %d nodes are updated, %s is stable", got, counts.stable)
	}
}

// A zone fails in the middle of a rollout: it holds, missing pods are created, and it continues when the zone is back, at the limits.
func TestZoneOutage(t *testing.T) {
	for _, strategy := range []Strategy{unavailable("2"), surge("2")} {
		d := newDying(t, 12, strategy)
		zone := []string{"n8", "n9", "n10", "n11"}
		d.template("r2")
		for range 8 {
			d.cells.Grant(d.now)
			d.moves()[0]()
			d.now = d.now.Add(time.Second)
		}
		d.die(zone...)
		d.wait(10 * time.Second) // not dead yet, and nothing is deleted there
		d.settle(first)
		if health := d.health(); health.phase() != v1alpha1.RolloutHeld || !health.Dead.Halts {
			t.Errorf("the phase is %s: %s", health.phase(), health.progressing().Message)
		}
		held, stable := len(d.on("r2")), d.on("r1")
		d.gone(d.podsOn(stable[0])[0])
		d.settle(first)
		if got := len(d.on("r2")); got != held+1 || d.stable != "r1" {
			t.Errorf("%d nodes are updated while the rollout holds, %d before", got, held)
		}
		d.tell("the zone is dead")
		health := d.health()
		if got := health.progressing(); got.Reason != v1alpha1.ReasonTooManyDeadNodes || !strings.Contains(got.Message, "4 of 12 nodes are dead (not Ready for 60 seconds)") {
			t.Errorf("%s: %s", got.Reason, got.Message)
		}
		d.comeBack(zone...)
		d.settle(first)
		if got := len(d.on("r2")); got != 12 || d.stable != "r2" {
			t.Errorf("%d nodes are updated in the end, %s is stable\n%s", got, d.stable, strings.Join(d.log, "\n"))
		}
	}
}

// A node that is tainted when it dies is not eligible, but part of the outage.
func TestOutageOfTaintedNodes(t *testing.T) {
	d := newDying(t, 10, unavailable("1"))
	d.template("r2")
	for _, node := range d.nodes[:3] {
		d.cells.SetNode(node, types.UID(node), Verdict{ShouldContinue: true, Reason: ReasonNoScheduleTaint}, d.now)
		d.die(node)
	}
	d.wait(time.Minute)
	if d.settle(first); len(d.on("r2")) != 0 {
		t.Errorf("%v are updated while 3 of 10 nodes are dead", d.on("r2"))
	}
	d.comeBack(d.nodes[0])
	if d.settle(first); len(d.on("r2")) != 7 || d.stable != "r2" {
		t.Errorf("%v are updated while 2 of 10 nodes are dead", d.on("r2"))
	}
}

// Back to the stable revision is possible whatever share of the nodes is dead.
func TestNothingHoldsTheReturnToStable(t *testing.T) {
	d := newDying(t, 6, unavailable("1"), maxShare("1"))
	d.template("r2")
	for range 6 {
		d.cells.Grant(d.now)
		d.moves()[0]()
		d.now = d.now.Add(time.Second)
	}
	d.die("n3", "n4")
	d.wait(time.Minute)
	d.template("r1")
	d.settle(first)
	if got := len(d.on("r1")); got != 6 {
		t.Errorf("%d nodes have the stable revision\n%s", got, strings.Join(d.log, "\n"))
	}
}

// What a node costs depends on when it died, and for how long it has been dead.
func TestDeadNodes(t *testing.T) {
	tests := map[string]struct {
		story func(d *dying)
		costs bool
	}{
		"not Ready for less than a minute": {func(d *dying) { d.die("n0"); d.wait(59 * time.Second) }, true},
		"for a minute":                     {func(d *dying) { d.die("n0"); d.wait(time.Minute) }, false},
		"not Ready, says its kubelet": {func(d *dying) {
			d.turn("n0", corev1.ConditionFalse)
			d.fades("n0")
			d.wait(time.Minute)
		}, false},
		"Ready again": {func(d *dying) {
			d.die("n0")
			d.wait(time.Hour)
			d.comeBack("n0")
		}, true},
		"flaps": {func(d *dying) {
			for range 10 {
				d.die("n0")
				d.wait(50 * time.Second)
				d.comeBack("n0")
			}
			d.die("n0")
			d.wait(59 * time.Second)
		}, true},
		"without the condition Ready": {func(d *dying) { d.facts["n0"] = &NodeFacts{Name: "n0", UID: "n0"}; d.fades("n0"); d.wait(time.Hour) }, true},
		"not Ready, nobody says since when": {func(d *dying) {
			d.facts["n0"] = &NodeFacts{Name: "n0", UID: "n0", Ready: corev1.ConditionUnknown}
			d.fades("n0")
			d.wait(time.Hour)
		}, true},
		"a former node of that name": {func(d *dying) {
			d.facts["n0"] = &NodeFacts{Name: "n0", UID: "other", Ready: corev1.ConditionUnknown, ReadySince: t0}
			d.fades("n0")
			d.wait(time.Hour)
		}, true},
		"after its update": {func(d *dying) {
			d.updates("n0")
			d.now = d.now.Add(time.Second)
			d.die("n0")
			d.wait(time.Hour)
		}, true},
		"in the second of its update": {func(d *dying) { d.updates("n0"); d.die("n0"); d.wait(time.Hour) }, true},
		"before its update": {func(d *dying) {
			d.die("n0")
			d.now = d.now.Add(time.Second)
			d.gone(d.podsOn("n0")[0])
			d.make("n0", "r2", false)
			pod := d.podsOn("n0")[0]
			pod.Bound, pod.BoundAt = true, d.now.Unix()
			d.observe(pod)
			d.wait(time.Hour)
		}, false},
		"in the middle of its update": {func(d *dying) {
			pod := d.podsOn("n0")[0]
			pod.Terminating = true
			d.observe(pod)
			d.die("n0")
			d.wait(time.Hour)
		}, false},
		"without a pod": {func(d *dying) { d.gone(d.podsOn("n0")[0]); d.die("n0"); d.wait(time.Hour) }, false},
		"and all count": {func(d *dying) { d.set(countDead); d.die("n0"); d.wait(time.Hour) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDying(t, 5, unavailable("1"))
			d.template("r2")
			test.story(d)
			want := 0
			if test.costs {
				want = 1
			}
			if got := d.cells.without(); got != want {
				t.Errorf("%d nodes count as without an available pod, want %d", got, want)
			}
			if really := d.without(); len(really) != want {
				t.Errorf("really without: %v", really)
			}
			if wrong := d.cells.Audit(d.now); len(wrong) > 0 {
				t.Errorf("the audit finds %q", wrong)
			}
		})
	}
}

// updates has a node get a pod of the update revision.
func (d *dying) updates(node string) {
	d.gone(d.podsOn(node)[0])
	d.make(node, d.revision, false)
	pod := d.podsOn(node)[0]
	pod.BoundAt = d.now.Unix()
	d.ready(pod)
}

// Pods and nodes come by different watches. Whichever comes first, the pod of a node that is down is not deleted, and that of a node that
// is not down is.
func TestBothWatchOrders(t *testing.T) {
	permits := func(d *dying, wait time.Duration) []string {
		d.now = d.now.Add(wait)
		d.cells.Plan("n3", d.now)
		return d.cells.Grant(d.now)
	}
	start := func(t *testing.T) *dying {
		d := newDying(t, 4, unavailable("1"), pause)
		d.template("r2")
		d.spec.Paused = false
		return d
	}
	tests := map[string]struct {
		story func(d *dying)
		want  []string
	}{
		"the node's comes first": {func(d *dying) { d.turn("n3", corev1.ConditionUnknown); d.fades("n3") }, nil},
		"the pod's comes first":  {func(d *dying) { d.fades("n3"); permits(d, time.Second); d.turn("n3", corev1.ConditionUnknown) }, nil},
		"only the pod's comes":   {func(d *dying) { d.fades("n3") }, []string{"n3"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			test.story(d)
			d.set()
			if got := permits(d, time.Second); slices.Contains(got, "n3") {
				t.Errorf("permits %v after a second", got)
			}
			if plan := d.cells.Plan("n3", d.now); plan.WakeAt.IsZero() {
				t.Errorf("nothing wakes the cell")
			}
			if got := permits(d, 6*time.Second); slices.Contains(got, "n3") != slices.Contains(test.want, "n3") {
				t.Errorf("permits %v after some seconds, want %v", got, test.want)
			}
		})
	}
}

// The end of afterSeconds needs no event: the plan says when it is.
func TestDeathWakes(t *testing.T) {
	d := newDying(t, 4, unavailable("1"))
	d.die("n2")
	if plan := d.cells.Plan("n2", d.now.Add(30*time.Second)); !plan.WakeAt.Equal(d.now.Add(time.Minute)) {
		t.Errorf("it wakes at %s", plan.WakeAt)
	}
	before := d.cells.Counters()
	if plan := d.cells.Plan("n2", d.now.Add(time.Minute)); !plan.WakeAt.IsZero() || d.cells.Counters() == before {
		t.Errorf("it wakes at %s; counters %+v", plan.WakeAt, d.cells.Counters())
	}
}

// Dead nodes take no place of a partition, and are admitted when they are back.
func TestDeadNodesAreNotAdmitted(t *testing.T) {
	d := newDying(t, 8, unavailable("1"), partition("6"))
	d.die("n0", "n2")
	d.wait(time.Minute)
	d.template("r2")
	admissible := d.cells.Admissible(10)
	if !slices.Equal(admissible, []string{"n1", "n3"}) {
		t.Errorf("admissible are %v", admissible)
	}
	d.comeBack("n0")
	if got := d.cells.Admissible(10); !slices.Equal(got, []string{"n0", "n1"}) {
		t.Errorf("admissible are %v", got)
	}
}

// An event costs its cell, however many nodes are dead.
func TestDeathsCost(t *testing.T) {
	d := newDying(t, 200, unavailable("1"))
	d.template("r2")
	before := d.cells.Recounts()
	d.die("n7")
	d.cells.Plan("n7", d.now.Add(time.Minute))
	if counted := d.cells.Recounts() - before; counted > 3 {
		t.Errorf("the death of a node counts %d cells", counted)
	}
}

// Whatever dies and returns in whatever order, S4 holds, the sums are right, and in the end all that are alive are updated.
func TestRolloutWhileNodesDie(t *testing.T) {
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				random := rand.New(rand.NewPCG(seed, 7))
				d := newDying(t, 9, strategy, maxShare([]string{"25%", "100%", "2"}[seed%3]))
				if seed%7 == 6 {
					d.set(countDead)
				}
				for step := range 400 {
					node := d.nodes[random.IntN(len(d.nodes))]
					switch n := random.IntN(100); {
					case n < 2:
						d.template([]string{"r1", "r2", "r3"}[random.IntN(3)])
					case n < 5 && !d.isDown(node):
						d.die(node)
					case n < 7 && !d.isDown(node): // the pod's event comes first
						d.fades(node)
						d.turn(node, corev1.ConditionFalse)
					case n < 11:
						if d.isDown(node) {
							d.comeBack(node)
						}
					case n < 14:
						d.wait(time.Duration(random.IntN(40)) * time.Second)
					case n < 16:
						for _, pod := range d.podsOn(node) {
							d.gone(pod)
						}
					default:
						d.cells.Grant(d.now)
						if moves := d.moves(); len(moves) > 0 {
							moves[random.IntN(len(moves))]()
						}
						d.now = d.now.Add(300 * time.Millisecond)
					}
					if wrong := d.cells.Audit(d.now); len(wrong) > 0 {
						t.Fatalf("seed %d, step %d: the audit finds %q", seed, step, wrong)
					}
				}
				d.settle(random.IntN)
				d.ends(seed)
			}
		})
	}
}

// ends wants the nodes that are alive to have the update revision, unless the rollout holds or nodes that died after their update cost
// everything.
func (d *dying) ends(seed uint64) {
	d.t.Helper()
	most, _ := d.strategy.limits(len(d.nodes))
	if d.cells.halted() || d.holding.dead == nil || len(d.without()) >= most {
		return
	}
	for _, node := range d.nodes {
		pods := d.podsOn(node)
		if !d.isDown(node) && (len(pods) != 1 || !pods[0].Ready || pods[0].Revision != d.revision) {
			d.t.Fatalf("seed %d: node %s ends with %v, without are %v\n%s", seed, node, cmp.Diff([]*Pod(nil), pods), d.without(), strings.Join(d.log, "\n"))
		}
	}
}

func TestNewDeadNodes(t *testing.T) {
	share := func(value string) *intstr.IntOrString { parsed := intstr.Parse(value); return &parsed }
	tests := map[string]struct {
		spec *v1alpha1.DeadNodes
		want string // of the error, or after and maxShare
	}{
		"nothing":              {nil, "1m0s 25%"},
		"empty":                {&v1alpha1.DeadNodes{}, "1m0s 25%"},
		"all":                  {&v1alpha1.DeadNodes{Policy: "Exclude", AfterSeconds: 10, MaxShare: share("3")}, "10s 3"},
		"count":                {&v1alpha1.DeadNodes{Policy: "Count"}, "counts"},
		"too soon":             {&v1alpha1.DeadNodes{AfterSeconds: 9}, "spec.rollout.deadNodes: afterSeconds"},
		"too late":             {&v1alpha1.DeadNodes{AfterSeconds: 86401}, "spec.rollout.deadNodes: afterSeconds"},
		"more than all":        {&v1alpha1.DeadNodes{MaxShare: share("101%")}, "spec.rollout.deadNodes: maxShare"},
		"a negative number":    {&v1alpha1.DeadNodes{MaxShare: share("-1")}, "spec.rollout.deadNodes: maxShare"},
		"no such policy":       {&v1alpha1.DeadNodes{Policy: "Ignore"}, "spec.rollout.deadNodes: policy"},
		"wrong although count": {&v1alpha1.DeadNodes{Policy: "Count", AfterSeconds: 1}, "spec.rollout.deadNodes: afterSeconds"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hold, err := NewHold(&v1alpha1.Rollout{DeadNodes: test.spec})
			got := "counts"
			switch {
			case err != nil:
				got = err.Error()
			case hold.dead != nil:
				got = fmt.Sprintf("%s %s", hold.dead.after, hold.dead.maxShare.String())
			}
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("%s, want %s", got, test.want)
			}
			if err == nil && hold.reads().Readiness != (hold.dead != nil) {
				t.Errorf("it reads %+v", hold.reads())
			}
		})
	}
}

func TestTooMany(t *testing.T) {
	tests := []struct {
		share       string
		died, nodes int
		want        bool
	}{
		{"25%", 25, 100, false}, {"25%", 26, 100, true}, {"25%", 1, 3, true}, {"0", 0, 9, false}, {"0", 1, 9, true}, {"0%", 1, 9, true}, {"100%", 9, 9, false}, {"3", 3, 9, false},
		{"3", 4, 9, true}, {"25%", 0, 0, false},
	}
	for _, test := range tests {
		d := &deadNodes{maxShare: intstr.Parse(test.share)}
		if got := d.tooMany(test.died, test.nodes); got != test.want {
			t.Errorf("%d of %d are too many for %s: %t", test.died, test.nodes, test.share, got)
		}
	}
}
