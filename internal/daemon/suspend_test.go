package daemon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// suspend suspends or resumes the daemon.
func (c *cluster) suspend(suspended bool) {
	c.notef("suspended: %v", suspended)
	c.strategy.Suspended = suspended
	c.renew()
}

// ending is the number of nodes with a pod that terminates.
func (c *cluster) ending() (nodes int) {
	for _, node := range c.nodes {
		for _, pod := range c.podsOn(node) {
			if pod.Terminating {
				nodes++
				break
			}
		}
	}
	return nodes
}

// drain lets things happen to a suspended daemon until nothing can any more. No more nodes than the limit lose their
// pod at a time, and none gets one.
func (c *cluster) drain(limit int, random *rand.Rand) {
	c.t.Helper()
	made := c.made
	for range 1000 {
		c.cells.Grant(c.now)
		c.now = c.now.Add(time.Second)
		steps := c.steps()
		if len(steps) == 0 {
			break
		}
		steps[random.IntN(len(steps))].do()
		if ending := c.ending(); ending > limit {
			c.t.Fatalf("pods of %d nodes terminate, at most %d may\n%s", ending, limit, strings.Join(c.log, "\n"))
		}
	}
	if len(c.pods) > 0 || c.made != made {
		c.t.Fatalf("%d pods are left, and %d were made\n%s", len(c.pods), c.made-made, strings.Join(c.log, "\n"))
	}
}

// A suspended daemon loses its pods within the limits of its strategy, and gets them back when it is resumed.
func TestSuspend(t *testing.T) {
	for name, test := range map[string]struct {
		strategy Strategy
		limit    int
	}{
		"two unavailable":     {unavailable("2"), 2},
		"25% unavailable":     {unavailable("25%"), 3},
		"all unavailable":     {unavailable("100%"), 10},
		"two surge":           {surge("2"), 1},
		"OnDelete":            {Strategy{OnDelete: true, MaxUnavailable: unavailable("1").MaxUnavailable}, 1},
		"nothing is possible": {Strategy{}, 1},
	} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%s/seed %d", name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 14))
				c := newCluster(t, 10, test.strategy)
				c.suspend(true)
				want := Counters{Misscheduled: 10}
				if diff := cmp.Diff(want, c.cells.Counters()); diff != "" {
					t.Errorf("counters (-want, +got):\n%s", diff)
				}
				c.drain(test.limit, random)
				if diff := cmp.Diff(Counters{}, c.cells.Counters()); diff != "" {
					t.Errorf("counters at the end (-want, +got):\n%s", diff)
				}
				c.update("r2")
				c.drain(0, random)
				c.suspend(false)
				for range 1000 {
					c.now = c.now.Add(time.Second)
					steps := c.steps()
					if len(steps) == 0 {
						break
					}
					steps[random.IntN(len(steps))].do()
				}
				c.done()
			})
		}
	}
}

// A daemon may be suspended and resumed at any time of a rollout. The limits hold for what follows, and no sum is lost.
func TestSuspendAtAnyTime(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 15))
		strategy := []Strategy{unavailable("2"), surge("1"), unavailable("30%")}[seed%3]
		c := newCluster(t, 7, strategy)
		for range 6 {
			c.update([]string{"r1", "r2", "r3"}[random.IntN(3)])
			c.suspend(random.IntN(2) == 0)
			for range random.IntN(25) {
				c.cells.Grant(c.now)
				c.now = c.now.Add(time.Second)
				if steps := c.steps(); len(steps) > 0 {
					before := c.ending()
					steps[random.IntN(len(steps))].do()
					if limit, _ := c.strategy.limits(len(c.nodes)); c.strategy.Suspended && c.ending() > max(before, limit, 1) {
						t.Fatalf("seed %d: pods of %d nodes terminate\n%s", seed, c.ending(), strings.Join(c.log, "\n"))
					}
				}
				if wrong := c.cells.Audit(c.now); len(wrong) > 0 {
					t.Fatalf("seed %d: %v", seed, wrong)
				}
			}
		}
		c.suspend(true)
		c.drain(len(c.nodes), random)
	}
}

// While pods of a suspended daemon terminate for whatever reason, as many fewer lose theirs.
func TestSuspendCountsWhatTerminatesAlready(t *testing.T) {
	c := newCluster(t, 4, unavailable("2"))
	pod := c.podsOn("n3")[0]
	pod.Terminating = true
	c.observe(pod)
	c.suspend(true)
	if nodes := c.cells.Grant(c.now); len(nodes) != 1 || nodes[0] != "n0" {
		t.Errorf("%v may lose their pods, want n0", nodes)
	}
	c.gone(pod)
	if nodes := c.cells.Grant(c.now); len(nodes) != 1 || nodes[0] != "n1" {
		t.Errorf("then %v may, want n1", nodes)
	}
	c.suspend(false)
	if plan := c.cells.Plan("n0", c.now); len(plan.Actions) != 0 {
		t.Errorf("after it was resumed, planned: %+v", plan.Actions)
	}
}

// What waits, fails or is blocked ends too, and is no longer reported.
func TestSuspendEndsWaitingPods(t *testing.T) {
	c := newCluster(t, 3, unavailable("3"))
	c.hopeless("n0")
	failed := c.podsOn("n1")[0]
	failed.Finished, failed.Failed, failed.Ready = true, true, false
	c.observe(failed)
	c.suspend(true)
	health := c.cells.Health()
	if c.cells.Blocked() != 0 || len(health.Waiting) != 0 || len(health.Excluded) != 0 {
		t.Errorf("%d nodes are blocked; waiting: %v, excluded: %v", c.cells.Blocked(), health.Waiting, health.Excluded)
	}
	c.cells.Grant(c.now)
	for _, node := range c.nodes {
		if plan := c.cells.Plan(node, c.now); len(plan.Actions) != 1 || plan.Actions[0].Op != Delete || plan.Actions[0].Reason != ReasonSuspended {
			t.Errorf("node %s: planned %+v", node, plan.Actions)
		}
	}
}

func TestConditionsOfASuspendedDaemon(t *testing.T) {
	c := newCluster(t, 3, unavailable("1"))
	c.suspend(true)
	for _, message := range []string{"the DaemonSet is suspended; 3 nodes still have a pod", "the DaemonSet is suspended, and no node has a pod"} {
		health := c.cells.Health()
		conditions := health.Conditions()
		for i, want := range []metav1.Condition{
			{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: "Suspended", Message: message},
			{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse, Reason: "Suspended", Message: message},
			{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionFalse, Reason: "AsExpected", Message: conditions[2].Message},
		} {
			if diff := cmp.Diff(want, conditions[i]); diff != "" {
				t.Errorf("condition (-want, +got):\n%s", diff)
			}
		}
		c.drain(1, rand.New(rand.NewPCG(1, 1)))
	}
}
