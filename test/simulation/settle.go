package simulation

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// mostSteps is more than a cluster of this size needs to converge; an engine that goes on is in a hot loop.
const mostSteps = 100_000

// tick is the longest time that passes at once: timers with a shorter interval are late, as on a busy machine.
const tick = time.Minute

// settle lets the cluster work without faults until nothing was written or changed for a time.
func (c *Cluster) settle(quiet time.Duration) {
	since, revision, writes := c.clock.Now(), int64(-1), -1
	for steps := 0; c.clock.Now().Sub(since) < quiet; {
		for c.step() {
			if steps++; steps > mostSteps {
				c.violated("L2: the cluster does not converge within %d steps", mostSteps)
				return
			}
		}
		c.maintain()
		if c.api.Revision() != revision || c.journal.writes != writes {
			revision, writes, since = c.api.Revision(), c.journal.writes, c.clock.Now()
			if c.step() {
				continue
			}
		}
		c.clock.Advance(c.due(tick))
	}
}

// maintain lets everything else do what it has to do: kubelets, the controllers of Kubernetes, restarts.
func (c *Cluster) maintain() {
	for _, pod := range c.pods() {
		c.release(pod)
		c.progress(pod)
	}
	for c.api.Collect() {
	}
	c.api.SyncQuotas()
	for _, of := range c.controllers {
		if of.process == nil {
			of.start(c.api.Revision())
		}
	}
}

// repair ends all faults, and what users did that pods cannot be created in spite of.
func (c *Cluster) repair() {
	c.outcomes, c.webhook = nil, true
	for _, of := range c.controllers {
		of.stopped = false
		if of.process != nil {
			for _, i := range of.process.informers {
				i.frozen = false
			}
		}
	}
	for _, of := range c.schedulers {
		of.frozen = false
	}
	for _, node := range listed[*corev1.Node](c, history.Nodes) {
		c.setTaint(node, corev1.TaintNodeNotReady, "")
		c.setTaint(node, dedicated, "")
		c.comeBack(node)
	}
	clear(c.denied)
	clear(c.confined)
	c.openClass()
	c.stop(false)
	if c.api.Get(memory.PriorityClasses, "", className) == nil {
		c.togglePriorityClass()
	}
	c.dropQuotas()
	for _, pod := range c.pods() {
		if pod.Labels[foreignLabel] != "" {
			c.deletePod(pod)
			c.api.Finish(pod)
		}
	}
}

// end closes the cluster's processes.
func (c *Cluster) end() {
	for _, of := range c.controllers {
		of.kill()
	}
}
