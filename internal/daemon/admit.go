package daemon

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/btree"
)

// While a rollout holds nodes back, each cell is admitted to the update revision, which then is its target, or it is not,
// and its target is the stable revision.
//
//   - Between two changes of the rollout, cells are only added to those that are admitted. A cell that is admitted and whose
//     pod dies gets a pod of the update revision again.
//   - A cell that has a pod of the update revision is admitted, whatever the rollout says: no node is rolled back because
//     its labels or spec.rollout changed. When the rollout changes, cells without such a pod are decided again, except those
//     whose replacement has begun: their stale pod is gone.
//   - With a partition, cells wait in a queue, those with an abandoned revision first, and are admitted while fewer cells are
//     admitted than the partition leaves. Counted are eligible nodes, and updated ones before any other.
//   - Waves (waves.go) are such a limit too.
//   - A node joins as the rollout says. One that starts with the stable revision is admitted like the others once its pod is
//     available.
//
// A cell is in the queue only while it is eligible by the template of its present target. The caller judges the node by the
// template of the update revision before it admits the cell.

// place is a cell's place in the queue of those that may be admitted.
type place struct {
	urgent     bool // a wave wants it, whatever its number
	abandoned  bool // it has a pod that is neither of the stable nor of the update revision
	rank, node string
}

func (p place) less(other place) bool {
	return cmp.Or(
		compareBool(p.urgent, other.urgent),
		compareBool(p.abandoned, other.abandoned),
		cmp.Compare(p.rank, other.rank),
		cmp.Compare(p.node, other.node),
	) < 0
}

// holds reports whether nodes may be held back: the stable revision is another one, and something distinguishes nodes.
func (s *RolloutState) holds() bool {
	return s.Hold != nil && s.Stable != "" && s.Stable != s.admitted() &&
		(s.Hold.Paused || s.Hold.nodes != nil || s.limited() || s.Hold.joinsOnStable)
}

// admitted returns the revision that admitted cells have as their target.
func (s *RolloutState) admitted() string { return cmp.Or(s.Recorded, s.Update) }

// paused reports whether no permits are given.
func (s *RolloutState) paused() bool { return s.Hold != nil && s.Hold.Paused }

// join decides about a cell whose node is new.
func (c *Cells) join(cell *counted) {
	cell.joins, cell.admitted = true, false
	c.reset(cell)
}

// reset decides about a cell by a new state of the rollout.
func (c *Cells) reset(cell *counted) {
	facts := c.look(cell)
	if !c.terms.holds {
		cell.admitted = false
		return
	}
	stale, _, _ := cell.standing()
	begun := cell.admitted && stale == nil && cell.looked >= c.changes.updated
	cell.joins = cell.joins && !slices.ContainsFunc(cell.Pods, func(pod *Pod) bool { return !pod.fromFormerNode(cell.NodeUID) })
	hold := c.state.Hold
	cell.selected, cell.wanted = hold.selects(facts), c.state.wants(facts)
	cell.admitted = begun || c.updated(cell) || cell.joins && c.state.joinsOnUpdate() || !cell.joins && cell.selected && !c.state.limited()
}

// rewave decides about a cell after a wave has passed. No cell that is admitted ceases to be.
func (c *Cells) rewave(cell *counted) {
	facts := c.look(cell)
	if !c.terms.holds {
		cell.admitted = false
		return
	}
	cell.selected, cell.wanted = c.state.Hold.selects(facts), c.state.wants(facts)
	cell.admitted = cell.admitted || !cell.joins && cell.selected && !c.state.limited()
}

// look returns a node's facts, nil if they are not known or nothing depends on them, and keeps its rank.
func (c *Cells) look(cell *counted) (facts *NodeFacts) {
	rank := ""
	if hold := c.state.Hold; hold != nil && c.Facts != nil && hold.labelled {
		facts = c.Facts(cell.Node)
		rank = hold.rank(facts)
	}
	if rank != c.rollout.ranks[cell.Node] {
		c.unqueue(cell)
		c.rollout.rank(cell, rank)
	}
	return facts
}

// relabelled decides about a cell after its node's labels changed. Only its own labels take a cell out of those that are
// admitted, and only one that was not updated.
func (c *Cells) relabelled(cell *counted) {
	facts := c.look(cell)
	if !c.terms.holds {
		return
	}
	hold, was := c.state.Hold, cell.selected && cell.wanted != unwanted
	cell.selected, cell.wanted = hold.selects(facts), c.state.wants(facts)
	switch is := cell.selected && cell.wanted != unwanted; {
	case was && !is && !c.updated(cell):
		cell.admitted = false
	case is && !cell.joins && !c.state.limited():
		cell.admitted = true
	}
}

// updated reports whether a cell has a pod of the revision that is rolled out, in any state.
func (c *Cells) updated(cell *counted) bool {
	return slices.ContainsFunc(cell.Pods, func(pod *Pod) bool {
		return pod.Revision == c.state.admitted() && !pod.fromFormerNode(cell.NodeUID)
	})
}

// follow decides about a cell by what its pods have become.
func (c *Cells) follow(cell *counted, now time.Time) {
	if cell.joins && len(cell.Pods) > 0 && !cell.Pods[0].fromFormerNode(cell.NodeUID) && c.terms.available(cell.Pods[0], now) {
		cell.joins = false
	}
	if c.terms.holds && !cell.admitted && c.updated(cell) {
		cell.admitted = true
		c.decide(cell)
	}
}

// requeue puts a cell into the queue, or takes it out.
func (c *Cells) requeue(cell *counted) {
	wants := c.terms.holds && !cell.admitted && cell.selected && cell.wanted != unwanted && !cell.joins && cell.Verdict.ShouldRun && cell.blocked == nil && c.down.as[cell.Node] == notDown
	abandoned := wants && len(cell.Pods) > 0 && cell.Pods[0].Revision != c.state.Stable
	inWave := c.inWave(cell, wants)
	if cell.queued == wants && cell.abandoned == abandoned && cell.inWave == inWave {
		return
	}
	c.unqueue(cell)
	c.barred[cell.inWave]-- // 0 means nothing
	cell.queued, cell.abandoned, cell.inWave = wants, abandoned, inWave
	switch {
	case !wants:
		c.barred[inWave]++
	case inWave == wantedAll:
		c.urgent++
	}
	if wants {
		if c.queue == nil {
			c.queue = btree.NewG(8, place.less)
		}
		c.queue.ReplaceOrInsert(c.place(cell))
	}
}

// unqueue takes a cell out of the queue.
func (c *Cells) unqueue(cell *counted) {
	if cell.queued {
		c.queue.Delete(c.place(cell))
		if cell.inWave == wantedAll {
			c.urgent--
		}
		cell.queued, cell.inWave = false, unwanted
	}
}

func (c *Cells) place(cell *counted) place {
	return place{urgent: cell.inWave == wantedAll, abandoned: cell.abandoned, rank: c.rollout.ranks[cell.Node], node: cell.Node}
}

// room returns how many of the cells in the queue may be admitted.
func (c *Cells) room() int {
	if !c.terms.holds || c.queue == nil || c.halted() {
		return 0
	}
	most := c.queue.Len()
	if wave := c.state.wave(); wave != nil {
		most = c.roomInWave(wave)
	}
	if hold := c.state.Hold; hold.limited() {
		most = min(most, c.sums.Desired-hold.kept(c.sums.Desired)-c.sums.Admitted)
	}
	return max(0, most)
}

// Admissible returns the nodes that may be admitted next, at most n of them.
func (c *Cells) Admissible(n int) (nodes []string) {
	n = min(n, c.room())
	if n == 0 {
		return nil
	}
	c.queue.Ascend(func(next place) bool {
		nodes = append(nodes, next.node)
		return len(nodes) < n
	})
	return nodes
}

// Admit admits a node to the update revision, with the verdict on it by the rules of that revision's template. It reports
// false if the node may not be admitted any more.
func (c *Cells) Admit(node string, verdict Verdict, now time.Time) bool {
	cell, ok := c.at(node)
	if !ok || !cell.queued || c.room() == 0 {
		return false
	}
	c.unqueue(cell)
	cell.admitted = true
	c.decide(cell)
	cell.Verdict = verdict
	c.recount(cell, now)
	return true
}

// Proven reports whether the update revision has to become stable: nothing is held back, and every eligible node that is
// not excused has an available pod of it. Those that are excused, blocked or dead, get it when they can.
func (c *Cells) Proven() bool {
	s, sums := &c.state, &c.sums
	if c.terms.suspended || s.Hold == nil || s.Stable == s.Update || s.Recorded != "" || s.wave() != nil || s.Hold.restricts(sums.Desired) || c.halted() {
		return false
	}
	return sums.Held == 0 && sums.Updated+sums.ExcusedBehind == sums.Desired && sums.Available+sums.Excused == sums.Desired &&
		(sums.Available > 0 || sums.Desired == 0)
}
