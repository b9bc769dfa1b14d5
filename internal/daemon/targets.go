package daemon

import "time"

// Every cell has a target: the revision that its pod should have. A pod is stale when it does not have its cell's
// target, and updated when it has the update revision, which is what spec asks for. The two differ while a rollout
// holds nodes back: their pods are neither stale nor updated, and come back as the revision that their node is held on.

// RolloutState is what targets depend on, beside the node.
type RolloutState struct {
	Update string // the update revision
	// Policy decides which nodes are held back, and on which revision. With none every node gets the update revision.
	Policy TargetPolicy
}

// TargetPolicy decides targets. It is a pure function of its own value, which never changes, and of what Reads names:
// a cell's target is only decided again when one of these is another.
type TargetPolicy interface {
	Target(update string, node *NodeFacts) (revision string)
	Reads() Reads
}

// TargetOf is the revision that the pod of a node should have.
func TargetOf(state *RolloutState, node *NodeFacts) string {
	if state.Policy == nil {
		return state.Update
	}
	return state.Policy.Target(state.Update, node)
}

// Reads are the facts of a node that targets depend on.
func (s *RolloutState) Reads() Reads {
	if s.Policy == nil {
		return Reads{}
	}
	return s.Policy.Reads()
}

// target is a revision and how many cells have it as their target. These share it: a cell has no room for the text.
type target struct {
	revision string
	cells    int
}

// Target is the revision that the cell's pod should have.
func (c *Cell) Target() string {
	if c.target == nil {
		return ""
	}
	return c.target.revision
}

// stale reports whether a pod does not have its cell's target.
func (c *Cell) stale(pod *Pod) bool { return pod.Revision != c.Target() }

// TargetOf is the target of a node, which need not have a cell yet.
func (c *Cells) TargetOf(node string) string {
	if cell, ok := c.at(node); ok {
		return cell.Target()
	}
	return c.targetOf(node)
}

// Targets reports whether a revision is the target of any cell.
func (c *Cells) Targets(revision string) bool { return c.targets[revision] != nil }

// Reads are the facts of a node that targets depend on.
func (c *Cells) Reads() Reads { return c.state.Reads() }

// Retarget decides the target of a node again, whose facts are others now, and reports whether it is another one.
func (c *Cells) Retarget(node string, now time.Time) (changed bool) {
	cell, ok := c.at(node)
	if !ok || !c.decide(cell) {
		return false
	}
	c.recount(cell, now)
	return true
}

// decide gives a cell its target, and reports whether it is another one. What failed before is no reason then to
// wait: the template is another one too.
func (c *Cells) decide(cell *counted) (changed bool) {
	revision := c.targetOf(cell.Node)
	if cell.target != nil && cell.target.revision == revision {
		return false
	}
	changed = cell.target != nil
	c.aim(cell, revision)
	if changed {
		cell.setbacks = nil
	}
	return changed
}

// aim gives a cell a target, in place of the one that it has.
func (c *Cells) aim(cell *counted, revision string) {
	c.release(cell)
	shared := c.targets[revision]
	if shared == nil {
		if c.targets == nil {
			c.targets = map[string]*target{}
		}
		shared = &target{revision: revision}
		c.targets[revision] = shared
	}
	shared.cells++
	cell.target = shared
}

// release takes a cell's target away.
func (c *Cells) release(cell *counted) {
	if cell.target == nil {
		return
	}
	if cell.target.cells--; cell.target.cells == 0 {
		delete(c.targets, cell.target.revision)
	}
	cell.target = nil
}

// targetOf decides a node's target. Its name is the one fact that is always known.
func (c *Cells) targetOf(node string) string {
	facts := (*NodeFacts)(nil)
	if c.state.Policy != nil && c.Facts != nil {
		facts = c.Facts(node)
	}
	if facts == nil && c.state.Policy != nil {
		facts = &NodeFacts{Name: node}
	}
	return TargetOf(&c.state, facts)
}

// AllOn is the policy that keeps every node on one revision: the update revision must not be a target yet, for it has no
// record.
type AllOn string

// Target implements TargetPolicy.
func (r AllOn) Target(string, *NodeFacts) string { return string(r) }

// Reads implements TargetPolicy.
func (AllOn) Reads() Reads { return Reads{} }
