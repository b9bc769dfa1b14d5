package daemon

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestConditions(t *testing.T) {
	noRoom := []ProblemGroup{{Problem: Problem{Reason: reasonUnschedulable, Message: "Insufficient cpu"}, Nodes: []string{"n3"}, Total: 1, Since: t0}}
	excluded := []ProblemGroup{{Problem: Problem{Reason: "PlacementExcludesNode", Message: "nodeSelector tenant=blue"}, Nodes: []string{"n3", "n4", "n5"}, Total: 3, Since: t0}}
	tests := map[string]struct {
		health Health
		kind   Kind // Everynode if it is nil
		want   []string
	}{
		"no nodes": {
			health: Health{},
			want: []string{
				"Available=True NoEligibleNodes: no node is eligible",
				"Progressing=False Complete: 0 of 0 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"all well": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 5, Updated: 5}},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=False Complete: 5 of 5 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"rolling out": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 4, Updated: 2}, MaxUnavailable: 1, Unavailable: []string{"n3"}},
			want: []string{
				"Available=True WithinMaxUnavailable: 4 of 5 nodes have an available pod, 1 may be without; without: n3",
				"Progressing=True RollingOut: 2 of 5 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing prevents pods from being created",
				"Reconciling=True RollingOut: 2 of 5 nodes have a pod of the current template",
			},
		},
		"OnDelete waits for the user": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 5, Updated: 2}, OnDelete: true},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=False OnDelete: 2 of 5 nodes have a pod of the current template; the strategy is OnDelete: the others get one when theirs is deleted",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"refused": {
			health: Health{
				Counters: Counters{Desired: 5, Current: 0}, MaxUnavailable: 1, Unavailable: []string{"n1", "n2", "n3"},
				Problems: map[string]Problem{"n2": {Reason: "B", Message: "b"}, "n1": {Reason: "FailedCreate", Message: "exceeded quota"}},
			},
			want: []string{
				"Available=False NodesUnavailable: 0 of 5 nodes have an available pod; without: n1, n2, n3 and 2 more",
				"Progressing=True PodsMissing: 0 of 5 nodes have a pod; without an available one: n1, n2, n3 and 2 more",
				"Degraded=True FailedCreate: exceeded quota (1 node: n1); b (1 node: n2)",
				"Reconciling=True PodsMissing: 0 of 5 nodes have a pod; without an available one: n1, n2, n3 and 2 more",
				"Stalled=True FailedCreate: exceeded quota (1 node: n1); b (1 node: n2)",
			},
		},
		"pods have not started": {
			health: Health{Counters: Counters{Desired: 3, Current: 3, Available: 1, Updated: 3, Pending: 2}, MaxUnavailable: 1, Unavailable: []string{"n2", "n3"}, Now: t0,
				Waiting: []ProblemGroup{{Problem: notStarted.Value(), Nodes: []string{"n3", "n2"}, Total: 2}}},
			want: []string{
				"Available=False NodesUnavailable: 1 of 3 nodes have an available pod; without: n2, n3",
				"Progressing=True PodsPending: 3 of 3 nodes have a pod of the current template; on 2 none has started; pods wait: its node has not started it yet (2 nodes: n3, n2)",
				"Degraded=False AsExpected: nothing prevents pods from being created",
				"Reconciling=True PodsPending: 3 of 3 nodes have a pod of the current template; on 2 none has started; pods wait: its node has not started it yet (2 nodes: n3, n2)",
			},
		},
		"the scheduler has just refused pods": {
			health: Health{Counters: Counters{Desired: 3, Current: 3, Available: 3, Updated: 2}, MaxUnavailable: 1, Now: t0.Add(waitPatience - 1), Waiting: noRoom},
			want: []string{
				"Available=True AllNodesAvailable: 3 of 3 nodes have an available pod",
				"Progressing=True RollingOut: 2 of 3 nodes have a pod of the current template; pods wait: Insufficient cpu (1 node: n3)",
				"Degraded=False PodsPending: pods wait for room: Insufficient cpu (1 node: n3)",
				"Reconciling=True RollingOut: 2 of 3 nodes have a pod of the current template; pods wait: Insufficient cpu (1 node: n3)",
			},
		},
		"the scheduler has refused pods for a while": {
			health: Health{Counters: Counters{Desired: 3, Current: 3, Available: 3, Updated: 2}, MaxUnavailable: 1, Now: t0.Add(waitPatience), Waiting: noRoom,
				Problems: map[string]Problem{"n1": {Reason: "FailedDelete", Message: "no"}, "n2": {Reason: "FailedDelete", Message: "no"}}},
			want: []string{
				"Available=True AllNodesAvailable: 3 of 3 nodes have an available pod",
				"Progressing=True PodsPending: 2 of 3 nodes have a pod of the current template; pods wait: Insufficient cpu (1 node: n3)",
				"Degraded=True FailedDelete: no (2 nodes: n1, n2); Insufficient cpu (1 node: n3)",
				"Reconciling=True PodsPending: 2 of 3 nodes have a pod of the current template; pods wait: Insufficient cpu (1 node: n3)",
				"Stalled=True FailedDelete: no (2 nodes: n1, n2); Insufficient cpu (1 node: n3)",
			},
		},
		"a native one whose pods wait": {
			health: Health{Counters: Counters{Desired: 3, Current: 3, Available: 2, Updated: 3, Pending: 1}, MaxUnavailable: 1, Unavailable: []string{"n3"}, Now: t0.Add(waitPatience), Waiting: noRoom}, kind: Apps,
			want: []string{
				"Available=True WithinMaxUnavailable: 2 of 3 nodes have an available pod, 1 may be without; without: n3",
				"Progressing=False Complete: 3 of 3 nodes have a pod of the current template; pods wait: Insufficient cpu (1 node: n3)",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"held by a partition": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 5, Updated: 2, Held: 3, Admitted: 2}, Rollout: heldRollout(t, partition("3"))},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=False Held: 2 of 5 nodes have a pod of the current template, 3 are held on revision r1: partition is 3",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"admitted nodes are behind": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 5, Updated: 1, Held: 3, Admitted: 2}, Rollout: heldRollout(t, partition("3"))},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=True RollingOut: 1 of 5 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing prevents pods from being created",
				"Reconciling=True RollingOut: 1 of 5 nodes have a pod of the current template",
			},
		},
		"held nodes have an abandoned revision": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 5, Updated: 2, Held: 3, Admitted: 2, Astray: 1}, Rollout: heldRollout(t, partition("3"))},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=True RollingOut: 2 of 5 nodes have a pod of the current template",
				"Degraded=False AsExpected: nothing prevents pods from being created",
				"Reconciling=True RollingOut: 2 of 5 nodes have a pod of the current template",
			},
		},
		"paused": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 5, Updated: 1, Held: 4, Admitted: 1}, Rollout: heldRollout(t, pause)},
			want: []string{
				"Available=True AllNodesAvailable: 5 of 5 nodes have an available pod",
				"Progressing=False Paused: 1 of 5 nodes have a pod of the current template, 4 are held on revision r1; the rollout is paused",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"nodes are selected": {
			health: Health{Counters: Counters{Desired: 2, Current: 2, Available: 2, Updated: 2, Admitted: 2}, Rollout: heldRollout(t, canaries)},
			want: []string{
				"Available=True AllNodesAvailable: 2 of 2 nodes have an available pod",
				"Progressing=False Held: 2 of 2 nodes have a pod of the current template, 0 are held on revision r1: nodeSelector is canary=true",
				"Degraded=False AsExpected: nothing prevents pods from being created",
			},
		},
		"all are updated, and not available": {
			health: Health{Counters: Counters{Desired: 2, Current: 2, Available: 1, Updated: 2}, MaxUnavailable: 1, Unavailable: []string{"n1"}, Rollout: heldRollout(t, resume)},
			want: []string{
				"Available=True WithinMaxUnavailable: 1 of 2 nodes have an available pod, 1 may be without; without: n1",
				"Progressing=True RollingOut: 2 of 2 nodes have a pod of the current template, 0 are held on revision r1; the rollout is complete when all of them are available",
				"Degraded=False AsExpected: nothing prevents pods from being created",
				"Reconciling=True RollingOut: 2 of 2 nodes have a pod of the current template, 0 are held on revision r1; the rollout is complete when all of them are available",
			},
		},
		"blocked nodes are excused": {
			health: Health{Counters: Counters{Desired: 5, Current: 5, Available: 2, Updated: 3, Excused: 3, ExcusedBehind: 2}, Now: t0, Excluded: excluded},
			want: []string{
				"Available=True AllNodesAvailable: 2 of 5 nodes have an available pod, and 3 are blocked",
				"Progressing=False Complete: 3 of 5 nodes have a pod of the current template, and 3 are blocked",
				"Degraded=True PlacementExcludesNode: nodeSelector tenant=blue (3 nodes: n3, n4, n5)",
				"Stalled=True PlacementExcludesNode: nodeSelector tenant=blue (3 nodes: n3, n4, n5)",
			},
		},
		"every node is blocked": {
			health: Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3, Excused: 3}, Now: t0, Excluded: excluded},
			want: []string{
				"Available=False NodesUnavailable: 0 of 3 nodes have an available pod, and 3 are blocked",
				"Progressing=False Complete: 3 of 3 nodes have a pod of the current template, and 3 are blocked",
				"Degraded=True PlacementExcludesNode: nodeSelector tenant=blue (3 nodes: n3, n4, n5)",
				"Stalled=True PlacementExcludesNode: nodeSelector tenant=blue (3 nodes: n3, n4, n5)",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.health.ReportsWaiting = test.kind != Apps
			var got []string
			for _, condition := range test.health.Conditions() {
				got = append(got, fmt.Sprintf("%s=%s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("conditions (-want, +got):\n%s", diff)
			}
		})
	}
}

// The nodes that a condition names are kept by deltas, as the sums are.
func TestHealthNamesTheFirstNodes(t *testing.T) {
	c := newCluster(t, 6, unavailable("2"))
	if health := c.cells.Health(); len(health.Unavailable) != 0 {
		t.Fatalf("%+v, want no node without an available pod", health)
	}
	for _, node := range []string{"n5", "n1", "n4", "n2"} {
		pod := c.podsOn(node)[0]
		pod.Ready = false
		c.observe(pod)
	}
	health := c.cells.Health()
	if diff := cmp.Diff([]string{"n1", "n2", "n4"}, health.Unavailable); diff != "" || health.Available != 2 || health.MaxUnavailable != 2 {
		t.Errorf("%+v (-want, +got):\n%s", health, diff)
	}
	c.cells.RemoveNode("n1", c.now)
	c.gone(c.podsOn("n1")[0])
	c.ready(c.podsOn("n2")[0])
	if diff := cmp.Diff([]string{"n4", "n5"}, c.cells.Health().Unavailable); diff != "" {
		t.Errorf("unavailable (-want, +got):\n%s", diff)
	}
}

// Whatever happens to nodes and pods, a condition's numbers are those of the counters beside it, and
// the nodes that it names are those that the counters count: also while pods terminate, which apps/v1
// counts as long as they are ready.
func TestConditionsAgreeWithCounters(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 18))
		c := newCluster(t, 1+random.IntN(8), []Strategy{unavailable("1"), unavailable("50%"), surge("2"), {OnDelete: true}}[random.IntN(4)])
		for step := range 60 {
			c.disturb(random, step)
			health := c.cells.Health()
			health.ReportsWaiting = true
			status := Status(withStatus(v1alpha1.DaemonSetStatus{}, 1), &health, c.now, health.Conditions()...)
			for _, wrong := range disagreements(&status) {
				t.Fatalf("seed %d, step %d: %s", seed, step, wrong)
			}
			if want := c.unavailableNodes(); !slices.Equal(health.Unavailable, want[:min(shownNodes, len(want))]) {
				t.Fatalf("seed %d, step %d: the nodes %v are named, of %v", seed, step, health.Unavailable, want)
			}
		}
	}
}

// disturb does anything to a node or a pod.
func (c *cluster) disturb(random *rand.Rand, step int) {
	node := c.nodes[random.IntN(len(c.nodes))]
	switch random.IntN(5) {
	case 0:
		c.cells.SetNode(node, types.UID(node), []Verdict{eligible, noSchedule, mismatch}[random.IntN(3)], c.now)
	case 1:
		c.update(fmt.Sprintf("r%d", step%3))
	case 2:
		c.cells.Grant(c.now)
		c.act(node)
	default:
		for _, pod := range c.podsOn(node) {
			switch random.IntN(4) {
			case 0:
				pod.Terminating = true
				c.observe(pod)
			case 1:
				c.unready(pod)
			case 2:
				c.ready(pod)
			default:
				c.gone(pod)
			}
		}
	}
}

// unavailableNodes are those that should run a pod and of whose pods the one that counts is not available.
func (c *cluster) unavailableNodes() (nodes []string) {
	for _, cell := range c.cells.byNode {
		if cell.Verdict.ShouldRun && (len(cell.Pods) == 0 || !cell.Pods[0].Ready) {
			nodes = append(nodes, cell.Node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// disagreements compares every "n of m nodes" of a status's conditions with its numbers.
func disagreements(status *v1alpha1.DaemonSetStatus) (wrong []string) {
	expected := map[string]int32{
		"have an available pod":              status.NumberAvailable,
		"have a pod of the current template": status.UpdatedNumberScheduled,
		"have a pod":                         status.CurrentNumberScheduled,
	}
	for _, condition := range status.Conditions {
		match := regexp.MustCompile(`^(\d+) of (\d+) nodes (have [^,;]*)`).FindStringSubmatch(condition.Message)
		if match == nil {
			if condition.Type == v1alpha1.ConditionAvailable && status.DesiredNumberScheduled != 0 {
				wrong = append(wrong, condition.Message+": no number")
			}
			continue
		}
		if want, known := expected[match[3]]; !known || match[1] != fmt.Sprint(want) || match[2] != fmt.Sprint(status.DesiredNumberScheduled) {
			wrong = append(wrong, fmt.Sprintf("%s: %q beside %+v", condition.Type, condition.Message, *status))
		}
		if more := regexp.MustCompile(`and (\d+) more`).FindStringSubmatch(condition.Message); more != nil && more[1] != fmt.Sprint(status.NumberUnavailable-shownNodes) {
			wrong = append(wrong, fmt.Sprintf("%s: %q, and %d are unavailable", condition.Type, condition.Message, status.NumberUnavailable))
		}
	}
	return wrong
}
