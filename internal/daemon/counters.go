package daemon

import (
	"time"

	"github.com/google/btree"
)

// Counters are a daemon's sums over its cells; every number counts nodes. Their meaning is that of apps/v1's
// status (k8s.io/kubernetes pkg/controller/daemon updateDaemonSetStatus).
type Counters struct {
	Desired      int // should run a pod
	Current      int // should, and have one, Pending ones included
	Misscheduled int // have one and should not
	Ready        int
	Available    int
	Updated      int // have one of the update revision

	// What apps/v1's status does not count.
	Pending       int // should run a pod, have one, none has started, and the node is not blocked
	Blocked       int // blocked, and without an available pod
	BlockedBehind int // blocked, and without a pod of the update revision

	// While a rollout holds nodes back.
	Admitted int // should run a pod, and may have the update revision
	Held     int // should run a pod, may not have the update revision, and are not blocked
	Astray   int // of these, have a pod that does not have the revision that they are held on
}

// part is a cell's part of the sums: a node is counted or not. There are as many as cells.
type part struct {
	desired, current, misscheduled, ready, available, updated, pending, blocked, behind bool
	admitted, held, astray                                                              bool
}

// unavailable reports whether a cell is listed among the nodes without an available pod. Blocked ones are not.
func (p *part) unavailable() bool { return p.desired && !p.available && !p.blocked }

func (c *Counters) add(cell part, sign int) {
	count := func(sum *int, counts bool) {
		if counts {
			*sum += sign
		}
	}
	count(&c.Desired, cell.desired)
	count(&c.Current, cell.current)
	count(&c.Misscheduled, cell.misscheduled)
	count(&c.Ready, cell.ready)
	count(&c.Available, cell.available)
	count(&c.Updated, cell.updated)
	count(&c.Pending, cell.pending)
	count(&c.Blocked, cell.blocked)
	count(&c.BlockedBehind, cell.behind)
	count(&c.Admitted, cell.admitted)
	count(&c.Held, cell.held)
	count(&c.Astray, cell.astray)
}

// noteUnavailable maintains the nodes without an available pod, as the sums count them.
func (c *Cells) noteUnavailable(cell *counted, was bool) {
	if c.unavailable == nil {
		c.unavailable = btree.NewOrderedG[string](8)
	}
	switch is := cell.part.unavailable(); {
	case is && !was:
		c.unavailable.ReplaceOrInsert(cell.Node)
	case was && !is:
		c.unavailable.Delete(cell.Node)
	}
}

// count returns a cell's part of the sums. Of several pods the best one counts.
func (c *Cell) count(terms *terms, now time.Time) part {
	switch {
	case !c.Verdict.ShouldRun, terms.suspended:
		return part{misscheduled: c.NodeUID != "" && len(c.Pods) > 0}
	case len(c.Pods) == 0:
		return part{desired: true, admitted: terms.holds && c.admitted, held: terms.holds && !c.admitted}
	}
	best, blocked := c.Pods[0], c.blocked != nil
	counts := part{
		desired:   true,
		current:   true,
		ready:     best.Ready,
		available: terms.available(best, now),
		updated:   best.Revision == terms.update,
		pending:   !blocked && (best.Finished || !best.runs()),
		admitted:  terms.holds && c.admitted,
		held:      terms.holds && !c.admitted && !blocked,
	}
	counts.astray = counts.held && c.stale(best)
	counts.blocked, counts.behind = blocked && !counts.available, blocked && !counts.updated
	return counts
}
