package daemon

import (
	"fmt"
	"time"
)

// A suspended daemon should run no pod anywhere. Its pods are deleted as far as the limits of its strategy allow: at most
// maxUnavailable nodes, and at least one, have a pod that terminates. Nothing is created meanwhile. When the daemon is
// resumed, every eligible node gets a pod of its cell's target.

const suspended = "the DaemonSet is suspended"

// suspending returns a cell's part in the end of a suspended daemon's pods. Requests in flight count as done.
func (c *Cell) suspending(underway *sent) rolling {
	alive, ending := false, underway != nil && len(underway.deletes) > 0
	for _, pod := range c.Pods {
		alive, ending = alive || !pod.Terminating, ending || pod.Terminating
	}
	if !alive {
		c.granted = nil
	}
	ending = ending || c.granted != nil
	return rolling{eligible: c.Verdict.ShouldRun, ending: ending, waits: alive && !ending}
}

// grantEnds permits as many cells of a suspended daemon to lose their pods as the limits allow, at most `most`, and returns
// their nodes. It reports whether there may be more.
func (c *Cells) grantEnds(now time.Time, most int) (nodes []string, more bool) {
	r := &c.rollout
	limit, _ := r.strategy.limits(r.eligible)
	limit = max(limit, 1)
	for range most {
		next, some := r.waiting.Min()
		if !some || r.ending >= limit {
			return nodes, false
		}
		cell, _ := c.at(next.node)
		if c.recount(cell, now); !cell.roll.waits {
			continue
		}
		cell.granted = &grant{note: fmt.Sprintf("%d of at most %d nodes lose their pod", r.ending+1, limit)}
		c.recount(cell, now)
		nodes = append(nodes, next.node)
	}
	return nodes, true
}

// end deletes a pod of a suspended daemon, if its cell may lose it.
func (p *planner) end(pod *Pod) {
	if permit := p.cell.granted; permit != nil {
		p.drop(pod, ReasonSuspended, suspended, "%s; %s", suspended, permit.note)
	}
}
