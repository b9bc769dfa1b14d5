package daemon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var forBlue = Wait{unique.Make(wait{cause: notScheduled, placement: newPlacement(&corev1.PodSpec{NodeSelector: map[string]string{"tenant": "blue"}})})}

// anyTemplate are rules by which a pod could start on every node.
func anyTemplate(string) *Rules { return NewRules(&corev1.PodTemplateSpec{}) }

func tenantNode(name, tenant string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"tenant": tenant}}}
}

// hopeless makes a node's pod one that admission keeps off it.
func (c *cluster) hopeless(node string) *Pod {
	c.t.Helper()
	pod := c.podsOn(node)[len(c.podsOn(node))-1]
	pod.Bound, pod.Ready, pod.ReadySince, pod.Wait = false, false, time.Time{}, forBlue
	c.observe(pod)
	if !c.cells.JudgePlacement(tenantNode(node, "red"), anyTemplate, c.now) {
		c.t.Fatalf("node %s is not blocked", node)
	}
	return pod
}

// settle lets everything happen except to pods that can never run.
func (c *cluster) settle() {
	c.t.Helper()
	for range 1000 {
		c.cells.Grant(c.now)
		c.now = c.now.Add(time.Second)
		acted := false
		for _, step := range c.steps() {
			waits := false
			for _, pod := range c.pods {
				waits = waits || pod.Wait == forBlue && step.name == "ready "+pod.Name
			}
			if !waits {
				step.do()
				acted = true
				break
			}
		}
		if !acted {
			return
		}
	}
	c.t.Fatal("it does not come to an end")
}

// Blocked nodes cost no budget: the others get the new revision, and pods that can never run stay as they are.
func TestBlockedNodesHoldUpNoRollout(t *testing.T) {
	for name, strategy := range map[string]Strategy{"one unavailable": unavailable("1"), "one surges": surge("1"), "20% unavailable": unavailable("20%")} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 5, strategy)
			records := map[string]string{}
			for _, node := range []string{"n0", "n1", "n3"} {
				records[node] = c.hopeless(node).Name
			}
			c.update("r2")
			c.settle()
			for _, node := range c.nodes {
				pods := c.podsOn(node)
				if record, blocked := records[node]; blocked && (len(pods) != 1 || pods[0].Name != record) {
					t.Errorf("blocked node %s has %+v, want %s\n%s", node, pods, record, strings.Join(c.log, "\n"))
				} else if !blocked && (len(pods) != 1 || pods[0].Revision != "r2" || !pods[0].Ready) {
					t.Errorf("node %s has %+v\n%s", node, pods, strings.Join(c.log, "\n"))
				}
			}
			health := c.cells.Health()
			conditions := health.Conditions()
			if got := conditions[1]; got.Reason != "Complete" || got.Message != "2 of 5 nodes have a pod of the current template, and 3 are blocked" {
				t.Errorf("Progressing %s: %s", got.Reason, got.Message)
			}
			if got := conditions[2]; got.Reason != "PlacementExcludesNode" || !strings.Contains(got.Message, "nodeSelector tenant=blue") || !strings.Contains(got.Message, "(3 nodes: n0, n1, n3)") {
				t.Errorf("Degraded %s: %s", got.Reason, got.Message)
			}
		})
	}
}

// While a node surges, its old pod serves and the new one may turn out to be unable to run: the old one stays.
func TestBlockedSurgeLeavesTheOldPod(t *testing.T) {
	c := newCluster(t, 3, surge("1"))
	c.update("r2")
	c.cells.Grant(c.now)
	c.act("n0")
	c.hopeless("n0")
	c.settle()
	if pods := c.podsOn("n0"); len(pods) != 2 || !pods[0].Ready || pods[0].Revision != "r1" {
		t.Errorf("node n0 has %+v", pods)
	}
	for _, node := range []string{"n1", "n2"} {
		if pods := c.podsOn(node); len(pods) != 1 || pods[0].Revision != "r2" {
			t.Errorf("node %s has %+v\n%s", node, pods, strings.Join(c.log, "\n"))
		}
	}
}

// A policy that is newer than the pods takes a pod from no more nodes than the limits allow: on the others a dry run
// shows first that its successor could not run there. Those where it could are updated.
func TestNoPodIsGivenUpForOneThatIsBlocked(t *testing.T) {
	c := newCluster(t, 6, unavailable("1"))
	bad := map[string]bool{"n0": true, "n2": true, "n3": true}
	c.update("r2")
	tried := 0
	for range 200 {
		c.cells.Grant(c.now)
		c.now = c.now.Add(time.Second)
		for _, node := range c.nodes {
			for _, action := range c.cells.Plan(node, c.now).Actions {
				if action.TryFirst {
					if tried++; bad[node] {
						c.cells.Foresee(node, "nodeSelector tenant=blue", c.now)
						continue
					}
				}
				c.act(node)
			}
			for _, pod := range c.podsOn(node) {
				switch {
				case pod.Terminating:
					c.gone(pod)
				case pod.Ready || pod.Wait == forBlue:
				case bad[node]:
					c.hopeless(node)
				default:
					c.ready(pod)
				}
			}
		}
	}
	lost := 0
	for _, node := range c.nodes {
		pods := c.podsOn(node)
		switch {
		case len(pods) != 1 || !bad[node] && pods[0].Revision != "r2":
			t.Errorf("node %s has %+v\n%s", node, pods, strings.Join(c.log, "\n"))
		case !pods[0].Ready:
			lost++
		}
	}
	if lost != 1 || c.cells.Blocked() != 3 || tried != 5 {
		t.Errorf("%d nodes lost their pod, want 1; %d are blocked, %d dry runs\n%s", lost, c.cells.Blocked(), tried, strings.Join(c.log, "\n"))
	}
	health := c.cells.Health()
	if got := health.progressing(); got.Reason != "Complete" || got.Message != "4 of 6 nodes have a pod of the current template, and 3 are blocked" {
		t.Errorf("Progressing %s: %s", got.Reason, got.Message)
	}
	// What was foreseen is tried again, and the pod then waits for its turn.
	pod, _, blocked := c.cells.Probe("n2")
	if c.cells.Probed("n2", pod, false, c.now); !blocked || pod != "" || c.cells.Blocked() != 2 {
		t.Errorf("blocked %v by %q, %d are blocked", blocked, pod, c.cells.Blocked())
	}
	if c.cells.Grant(c.now); len(c.cells.Plan("n2", c.now).Actions) != 1 {
		t.Error("the pod of n2 is not replaced")
	}
}

// The stored pod is replaced once a dry run shows that a new one would not be kept off, and not before.
func TestBlockedPodIsReplacedOnceItIsOfUse(t *testing.T) {
	c := newCluster(t, 2, unavailable("1"))
	record := c.hopeless("n0")
	c.update("r2")
	c.settle()
	pod, _, blocked := c.cells.Probe("n0")
	if !blocked || pod != record.UID {
		t.Fatalf("blocked %v by %s, want %s", blocked, pod, record.UID)
	}
	c.cells.Probed("n0", "another pod", false, c.now)
	c.cells.Probed("n0", pod, true, c.now)
	if plan := c.cells.Plan("n0", c.now); len(plan.Actions) != 0 {
		t.Fatalf("planned: %+v", plan.Actions)
	}
	c.cells.Probed("n0", pod, false, c.now)
	plan := c.cells.Plan("n0", c.now)
	if len(plan.Actions) != 1 || plan.Actions[0].Op != Delete || plan.Actions[0].Reason != ReasonUnblocked || !plan.Actions[0].IfUnchanged {
		t.Fatalf("planned: %+v", plan.Actions)
	}
	if _, _, blocked := c.cells.Probe("n0"); blocked {
		t.Error("it is probed although it is to be replaced")
	}
	c.settle()
	c.done()
}

// A node that is labelled as the stored pod asks for is not blocked any more, and one whose label goes is.
func TestBlockFollowsTheNode(t *testing.T) {
	c := newCluster(t, 1, unavailable("1"))
	record := c.hopeless("n0")
	if !c.cells.JudgePlacement(tenantNode("n0", "blue"), anyTemplate, c.now) || c.cells.Blocked() != 0 {
		t.Error("the node has the label, and is blocked")
	}
	if !c.cells.JudgePlacement(tenantNode("n0", "red"), anyTemplate, c.now) || c.cells.JudgePlacement(tenantNode("n0", "green"), anyTemplate, c.now) || c.cells.Blocked() != 1 {
		t.Error("the node lost the label, and is not blocked once")
	}
	record.Bound, record.Wait = true, Wait{}
	c.observe(record)
	if c.cells.Blocked() != 0 {
		t.Error("the pod is bound, and the node blocked")
	}
	if c.cells.JudgePlacement(tenantNode("n9", "red"), anyTemplate, c.now) {
		t.Error("a node without a cell is blocked")
	}
}

// A stale pod may be excluded by its own template, which is not the one that the node is eligible for. Then its node costs
// budget, and the pod is replaced like any other that is not available.
func TestStalePodBlocksOnlyIfAdmissionExcludesIt(t *testing.T) {
	blue := NewRules(&corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeSelector: map[string]string{"tenant": "blue"}}})
	for name, test := range map[string]struct {
		own     *Rules
		blocked int
	}{
		"its template could start there":  {anyTemplate("r1"), 1},
		"its template excludes the node":  {blue, 0},
		"its template is not known (yet)": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2, unavailable("1"))
			c.hopeless("n0")
			c.update("r2")
			c.cells.JudgePlacement(tenantNode("n0", "red"), func(revision string) *Rules {
				if revision != "r1" {
					t.Errorf("asked for the rules of %s", revision)
				}
				return test.own
			}, c.now)
			if got := c.cells.Blocked(); got != test.blocked {
				t.Errorf("%d nodes are blocked, want %d", got, test.blocked)
			}
			if unavailable := c.cells.without(); unavailable != 1-test.blocked {
				t.Errorf("%d nodes count as unavailable", unavailable)
			}
			c.cells.Grant(c.now)
			plan := c.cells.Plan("n0", c.now)
			if replaced := len(plan.Actions) == 1 && plan.Actions[0].Reason == ReasonOutdated; replaced != (test.blocked == 0) {
				t.Errorf("planned: %+v", plan.Actions)
			}
		})
	}
}

// However often a dry run and what is stored differ, the wait grows (S8). Another template is no reason to wait.
func TestProbesOfABlockedNodeBackOff(t *testing.T) {
	c := newCluster(t, 1, unavailable("1"))
	c.hopeless("n0")
	var waits []time.Duration
	for step := range 14 {
		pod, at, _ := c.cells.Probe("n0")
		waits = append(waits, at.Sub(c.now))
		c.now = at
		if step%2 == 0 {
			c.cells.Probed("n0", pod, true, c.now)
			continue
		}
		c.cells.Probed("n0", pod, false, c.now) // and then it is kept off all the same
		c.act("n0")
		c.gone(c.podsOn("n0")[0])
		c.act("n0")
		c.hopeless("n0")
	}
	var want []time.Duration
	for i := range 14 {
		want = append(want, RetryAfter(i))
	}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("waits (-want, +got):\n%s", diff)
	}
	c.update("r2")
	if _, at, _ := c.cells.Probe("n0"); at.After(c.now) {
		t.Errorf("the next dry run of a new template is in %s", at.Sub(c.now))
	}
}

// A pod that waits for a node that its RuntimeClass closes goes; one that runs there stays.
func TestRuntimeClassEndsPodsThatWait(t *testing.T) {
	closed := Verdict{ShouldContinue: true, Reason: ReasonRuntimeClass, Message: "closed"}
	c := newCluster(t, 2, unavailable("1"))
	waits := c.podsOn("n0")[0]
	waits.Bound, waits.Ready = false, false
	c.observe(waits)
	for _, node := range c.nodes {
		c.cells.SetNode(node, types.UID(node), closed, c.now)
	}
	if plan := c.cells.Plan("n0", c.now); len(plan.Actions) != 1 || plan.Actions[0].Reason != ReasonRuntimeClass || !plan.Actions[0].IfUnchanged {
		t.Errorf("the pod that waits: %+v", plan.Actions)
	}
	if plan := c.cells.Plan("n1", c.now); len(plan.Actions) != 0 {
		t.Errorf("the pod that runs: %+v", plan.Actions)
	}
}

// Whatever happens, sums and groups are those of the cells.
func TestBlockedCellsKeepTheirSums(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 12))
		c := newCluster(t, 1+random.IntN(6), []Strategy{unavailable("1"), surge("50%"), {OnDelete: true}}[random.IntN(3)])
		for step := range 80 {
			node := c.nodes[random.IntN(len(c.nodes))]
			if pods := c.podsOn(node); len(pods) > 0 && random.IntN(3) == 0 {
				pod := pods[random.IntN(len(pods))]
				pod.Bound, pod.Ready, pod.Wait = false, false, forBlue
				c.observe(pod)
			}
			c.cells.JudgePlacement(tenantNode(node, []string{"red", "blue"}[random.IntN(2)]), anyTemplate, c.now)
			if random.IntN(5) == 0 {
				c.cells.Foresee(node, "nothing", c.now)
			}
			if pod, _, blocked := c.cells.Probe(node); blocked {
				c.cells.Probed(node, pod, random.IntN(2) == 0, c.now)
			}
			c.disturb(random, step)
			blocked, waits := 0, 0
			for _, cell := range c.cells.byNode {
				if cell.blocked != nil && !cell.blocked.lifted {
					blocked++
				}
				if cell.waits() != nil {
					waits++
				}
			}
			if got := fmt.Sprint(c.cells.Blocked(), len(c.cells.waits.byNode)); got != fmt.Sprint(blocked, waits) {
				t.Fatalf("seed %d, step %d: %s are blocked and wait, want %d %d", seed, step, got, blocked, waits)
			}
			if wrong, done := c.cells.AuditSome(c.now, 100); len(wrong) > 0 || !done {
				t.Fatalf("seed %d, step %d: %v", seed, step, wrong)
			}
			if c.cells.without() < 0 {
				t.Fatalf("seed %d, step %d: %d nodes are without an available pod", seed, step, c.cells.without())
			}
		}
	}
}
