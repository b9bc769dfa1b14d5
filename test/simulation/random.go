package simulation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// chaosSteps is the length of the disturbed part of a random run.
const chaosSteps = 700

// How long a cluster must be quiet until it counts as settled, and how long it must remain so: twice the longest back-off, and
// longer than a repeated event is counted.
const (
	quiet = 31 * time.Minute
	after = 45 * time.Minute
)

// wanted is a DaemonSet of a random run, which is created again when it was deleted.
type wanted struct {
	resource history.Resource
	name     string
	limits   limits
	change   func(*v1alpha1.DaemonSet)
}

// Random runs a cluster that is determined by a seed: it starts, is disturbed for a while, and settles.
func Random(seed uint64) *Run { return randomCluster(seed).run() }

func randomCluster(seed uint64) *Cluster {
	kinds := []model.Kinds{{Everynode: true}, {Apps: true}, {Everynode: true, Apps: true}}[seed%3]
	c := newCluster(seed, kinds, 1+int(seed/3%2), 1+int(seed/6%2))
	c.journal.history.Title = fmt.Sprintf("seed %d", seed)
	return c
}

func (c *Cluster) run() *Run {
	c.populate()
	c.disturb()
	return c.finish()
}

// finish ends all faults, lets the cluster settle, and judges its history.
func (c *Cluster) finish() *Run {
	defer c.end()
	c.mark(history.FaultEnds, "all faults end")
	c.repair()
	c.settle(quiet)
	c.mark(history.Settled, "the cluster has settled")
	c.settle(after) // nothing may be written (L2)
	return c.result()
}

// populate creates the first objects, and starts the programs.
func (c *Cluster) populate() {
	c.openClass()
	if c.kinds.Everynode {
		ofClass := func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.RuntimeClassName = ptr.To(className) }
		c.wanted = append(c.wanted, wanted{history.DaemonSets, "d", limits{unavailable: 2}, ofClass}, wanted{history.DaemonSets, "surge", limits{surge: 1}, ofClass})
	}
	if c.kinds.Apps {
		c.wanted = append(c.wanted, wanted{history.NativeDaemonSets, "native", pick(c, strategies), func(*v1alpha1.DaemonSet) {}})
	}
	c.restoreSets()
	for range 3 + c.random.IntN(3) {
		c.addNode()
	}
	for _, of := range c.controllers {
		of.start(c.api.Revision())
	}
}

// disturb lets everything happen in a random order.
func (c *Cluster) disturb() {
	c.mark(history.FaultBegins, "faults begin")
	c.stale = c.chance(50)
	if c.chance(70) {
		c.outcomes = lossy(losses)
	}
	happenings, wrong := some(c, acts), some(c, faults)
	for range chaosSteps {
		c.happen(happenings, wrong)
	}
}

// happen lets one thing happen: usually a step of a program, rarely an act or a fault.
func (c *Cluster) happen(happenings, wrong []act) {
	switch n := c.random.IntN(100); {
	case n < 62:
		c.step()
	case n < 84:
		c.onPod(func(pod *corev1.Pod) { _ = c.progress(pod) || c.progress(pick(c, c.pods())) })
	case n < 89:
		c.api.Collect()
		c.api.SyncQuotas()
	case n < 94:
		c.clock.Advance(pick(c, []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second}))
	case n < 97 && len(happenings) > 0:
		pick(c, happenings).do(c)
	case len(wrong) > 0:
		pick(c, wrong).do(c)
	}
}
