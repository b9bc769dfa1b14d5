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
	Pending       int // should run a pod, have one, none has started, and the node is not excused
	Excused       int // excused from the limits, because they are blocked or dead, and without an available pod
	ExcusedBehind int // excused, have a pod, and none of the update revision
	Dead          int // should run a pod, and are dead
	DeadClosed    int // are dead, have a pod, and should not get one
	Left          int // excused because they are dead, and without a pod of the update revision
	// Without counts nodes that should run a pod and have no available one, by cause, while there is a rollout.
	Without [causes]int

	// While a rollout holds nodes back.
	Admitted int // should run a pod, and may have the update revision
	Held     int // should run a pod, may not have the update revision, and are not excused
	Astray   int // of these, have a pod that does not have the revision that they are held on
	Done     int // admitted, and have an available pod of the update revision
	Lagging  int // admitted, not excused, and have none
}

// part is a cell's part of the sums: a node is counted or not. There are as many as cells.
type part struct {
	desired, current, misscheduled, ready, available, updated, pending, excused bool
	hold                                                                        onHold
	of                                                                          aspect
}

// onHold is a cell's part of what a rollout that holds nodes back counts.
type onHold uint8

const (
	onHoldNone    onHold = iota
	onHoldExcused        // admitted, excused, and without an available pod of the update revision
	onHoldDone
	onHoldLagging
	onHoldHeld
	onHoldAstray
)

func (c *Counters) addHold(cell onHold, sign int) {
	switch cell {
	case onHoldNone:
		return
	case onHoldHeld:
		c.Held += sign
		return
	case onHoldAstray:
		c.Held += sign
		c.Astray += sign
		return
	case onHoldExcused:
	case onHoldDone:
		c.Done += sign
	case onHoldLagging:
		c.Lagging += sign
	}
	c.Admitted += sign
}

// onHold returns a cell's part of that. The cell should run a pod; best is nil if it has none. A free cell is excused from limits.
func (c *Cell) onHold(terms *terms, best *Pod, free, proven bool) onHold {
	switch {
	case !terms.holds, !c.admitted && free:
		return onHoldNone
	case !c.admitted && best != nil && c.stale(best):
		return onHoldAstray
	case !c.admitted:
		return onHoldHeld
	case proven:
		return onHoldDone
	case free:
		return onHoldExcused
	}
	return onHoldLagging
}

// unavailable reports whether a cell is listed among the nodes without an available pod. Excused ones are not.
func (p *part) unavailable() bool { return p.desired && !p.available && !p.excused }

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
	count(&c.Excused, cell.excused)
	count(&c.ExcusedBehind, cell.has(isBehind))
	c.addHold(cell.hold, sign)
	count(&c.Dead, cell.has(isDead))
	count(&c.DeadClosed, cell.has(isDeadClosed))
	count(&c.Left, cell.has(isLeft))
	if cause := cell.of & ofCause; cause != noCause {
		c.Without[cause] += sign
	}
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
func (c *Cell) count(terms *terms, down downAs, now time.Time) part {
	switch {
	case !c.Verdict.ShouldRun, terms.suspended:
		return part{misscheduled: c.NodeUID != "" && len(c.Pods) > 0, of: isDeadClosed.when(down >= dead && c.Verdict.ShouldContinue && len(c.Pods) > 0)}
	case len(c.Pods) == 0:
		return part{desired: true, hold: c.onHold(terms, nil, down == excused, false),
			excused: down == excused, of: c.causeOf(terms, down) | isDead.when(down >= dead) | isLeft.when(down == excused)}
	}
	best, free := c.Pods[0], c.blocked != nil || down == excused
	counts := part{
		desired:   true,
		current:   true,
		ready:     best.Ready,
		available: terms.available(best, now),
		updated:   best.Revision == terms.update,
		pending:   !free && (best.Finished || !best.runs()),
		of:        isDead.when(down >= dead),
	}
	counts.hold = c.onHold(terms, best, free, counts.updated && counts.available)
	counts.excused = free && !counts.available
	counts.of |= isBehind.when(free && !counts.updated) | isLeft.when(down == excused && !counts.updated)
	if !counts.available {
		counts.of |= c.causeOf(terms, down)
	}
	return counts
}
