package daemon

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A strategy that changes while surge pods wait for room: leave that was given to surge is no leave to delete (S4).
func TestRolloutLeaveToSurgeIsNoLeaveToDelete(t *testing.T) {
	for name, next := range map[string]Strategy{"maxUnavailable 1": unavailable("1"), "OnDelete": {OnDelete: true}} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 5, surge("100%"))
			c.update("r2")
			c.cells.Grant(c.now)
			for _, node := range c.nodes { // the surge pods are made, and stay Pending
				c.act(node)
			}
			c.strategy = next
			c.cells.SetTemplate(c.revision, 0, next, c.now)
			for range 20 {
				c.cells.Grant(c.now)
				for _, node := range c.nodes {
					c.act(node)
					for _, pod := range c.podsOn(node) {
						if pod.Terminating && !pod.Ready { // the surge pod was never bound: it goes at once
							c.gone(pod)
						}
					}
				}
			}
			lost := 0
			for _, node := range c.nodes {
				for _, pod := range c.podsOn(node) {
					if pod.Ready && pod.Terminating {
						lost++
					}
				}
			}
			limit, _ := next.limits(5)
			if next.OnDelete {
				limit = 0
			}
			if lost > limit {
				t.Errorf("%d available old pods are deleted, at most %d may be", lost, limit)
			}
		})
	}
}

// Surging with minReadySeconds: old pods that are ready, but not for long enough, are not taken away before their successors are there.
func TestRolloutSurgeKeepsReadyPods(t *testing.T) {
	c := newCluster(t, 5, surge("1"))
	c.now = c.now.Add(10 * time.Second)
	c.revision = "r2"
	c.cells.SetTemplate("r2", time.Minute, c.strategy, c.now) // ready for 10 s, of 60
	c.cells.Grant(c.now)
	deleted := 0
	for _, node := range c.nodes {
		for _, action := range c.cells.Plan(node, c.now).Actions {
			if action.Op == Delete {
				deleted++
			}
		}
	}
	if deleted > 0 {
		t.Errorf("%d ready pods are deleted, and no other is there", deleted)
	}
}

// A pod that failed under the former template does not hold the new template back for its back-off.
func TestRolloutFinishedOldPodIsReplacedByNewTemplate(t *testing.T) {
	c := newCluster(t, 1, unavailable("1"))
	pod := c.podsOn("n0")[0]
	pod.Ready, pod.Finished = false, true
	c.observe(pod)
	for range 12 {
		c.cells.Replaced("n0", c.now)
	}
	c.update("r2")
	c.cells.Grant(c.now)
	plan := c.cells.Plan("n0", c.now)
	if len(plan.Actions) == 0 {
		t.Errorf("the failed pod of the former template stays for %v", plan.WakeAt.Sub(c.now))
	}
}

// Readiness that flaps between a grant and its action does not surge past maxSurge.
func TestRolloutFlapDoesNotSurgePastLimit(t *testing.T) {
	c := newCluster(t, 3, surge("1"))
	c.update("r2")
	c.cells.Grant(c.now) // n0
	n0 := c.podsOn("n0")[0]
	n0.Ready = false
	c.observe(n0)
	c.cells.Grant(c.now)
	n0.Ready = true
	c.observe(n0)
	c.cells.Grant(c.now)
	for _, node := range c.nodes {
		c.act(node)
	}
	c.check()
}

// A pod that became available between two looks does not end the round of grants for everybody.
func TestRolloutGrantGoesOn(t *testing.T) {
	c := newCluster(t, 2, unavailable("2"))
	n0 := c.podsOn("n0")[0]
	n0.ReadySince = c.now.Add(time.Hour - 5*time.Second)
	n1 := c.podsOn("n1")[0]
	n1.ReadySince = c.now
	c.observe(n0)
	c.observe(n1)
	c.now = c.now.Add(time.Hour)
	c.revision = "r2"
	c.cells.SetTemplate("r2", 10*time.Second, c.strategy, c.now) // n0 is not available yet
	c.now = c.now.Add(6 * time.Second)                           // and now it is; begin() comes
	got := c.cells.Grant(c.now)
	before := c.cells.Counters()
	c.cells.Plan("n0", c.now)
	if len(got) != 2 {
		t.Errorf("Grant = %v, want both; Plan notes news: %v", got, c.cells.Counters() != before)
	}
}

// Leave that was given under a higher limit ends with it (S4).
func TestRolloutWithLowerLimit(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := newCluster(t, 8, unavailable("100%"))
		c.update("r2")
		c.cells.Grant(c.now)
		c.strategy = unavailable("1")
		c.cells.SetTemplate(c.revision, 0, c.strategy, c.now)
		c.run(random.IntN, nil)
		c.done()
	}
}

// A node that a NoSchedule taint closes while surging keeps the pod that works.
func TestRolloutClosedNodeKeepsTheAvailablePod(t *testing.T) {
	c := newCluster(t, 1, surge("1"))
	c.update("r2")
	c.cells.Grant(c.now)
	c.act("n0")
	for _, pod := range c.podsOn("n0") {
		if pod.Revision == "r2" {
			c.ready(pod)
		}
	}
	old := c.podsOn("n0")[0]
	old.Ready = false
	c.observe(old)
	c.cells.SetNode("n0", "n0", noSchedule, c.now)
	for _, action := range c.cells.Plan("n0", c.now).Actions {
		if action.Pod.Ready {
			t.Errorf("the only available pod is deleted: %s %s", action.Reason, action.Message)
		}
	}
}
