package daemon

import "time"

// Every cell has a target: the revision that its pod should have. A pod is stale when it does not have its
// cell's target, and updated when it has the update revision, which is that of spec. The two differ while a
// rollout holds nodes back: their pods are neither stale nor updated, and are recreated with the revision that
// their node is held on.

// RolloutState is what targets depend on, besides the node.
type RolloutState struct {
	Update string // the update revision
	// Recorded is the revision that nodes get while the update revision has no record yet; otherwise it is empty.
	Recorded string

	// Policy decides targets. Without one, every node that Hold does not hold back gets the update revision.
	Policy TargetPolicy
	// Hold is what the rollout holds back, on the revision Stable; nil without a rollout.
	Hold   *Hold
	Stable string
	Wave   int // the index of the open wave of Hold; all have passed if there is none
}

// TargetPolicy decides targets. It is a pure function of its own value, which never changes, and of the facts
// in Reads: a cell's target is only decided again when one of these changes.
type TargetPolicy interface {
	Target(update string, node *NodeFacts) (revision string)
	Reads() Reads
}

// TargetOf returns the revision that the pod of a node should have.
func TargetOf(state *RolloutState, node *NodeFacts) string {
	if state.Policy == nil {
		return state.admitted()
	}
	return state.Policy.Target(state.Update, node)
}

// Reads returns the facts of a node that targets depend on.
func (s *RolloutState) Reads() Reads {
	if s.Policy == nil {
		return s.Hold.reads()
	}
	return s.Policy.Reads()
}

// target is a revision and how many cells have it as their target. The cells share it to save memory.
type target struct {
	revision string
	cells    int
}

// Target returns the revision that the cell's pod should have.
func (c *Cell) Target() string {
	if c.target == nil {
		return ""
	}
	return c.target.revision
}

// stale reports whether a pod does not have its cell's target.
func (c *Cell) stale(pod *Pod) bool { return pod.Revision != c.Target() }

// TargetOf returns the target of a node, which need not have a cell yet.
func (c *Cells) TargetOf(node string) string {
	if cell, ok := c.at(node); ok {
		return cell.Target()
	}
	return c.targetOf(node)
}

// Targets reports whether a revision is the target of any cell.
func (c *Cells) Targets(revision string) bool { return c.targets[revision] != nil }

// Reads returns the facts of a node that targets depend on.
func (c *Cells) Reads() Reads { return c.state.Reads() }

// Retarget decides the target of a node again after its facts changed, and reports whether its cell has to be planned.
func (c *Cells) Retarget(node string, now time.Time) (changed bool) {
	cell, ok := c.at(node)
	if !ok {
		return false
	}
	c.relabelled(cell)
	was := c.down.as[node]
	if changed = c.decide(cell); changed || c.terms.holds || c.terms.dead != nil {
		c.recount(cell, now)
	}
	return changed || was != notDown || c.down.as[node] != notDown
}

// decide gives a cell its target, and reports whether it changed. In that case earlier failures cause no
// further wait, because the template is another one.
func (c *Cells) decide(cell *counted) (changed bool) {
	revision := c.revisionFor(cell)
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

// revisionFor decides a cell's target.
func (c *Cells) revisionFor(cell *counted) string {
	switch {
	case !c.terms.holds:
		return c.targetOf(cell.Node)
	case cell.admitted:
		return c.state.admitted()
	}
	return c.state.Stable
}

// aim replaces the target of a cell.
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

// release removes a cell's target.
func (c *Cells) release(cell *counted) {
	if cell.target == nil {
		return
	}
	if cell.target.cells--; cell.target.cells == 0 {
		delete(c.targets, cell.target.revision)
	}
	cell.target = nil
}

// targetOf decides the target of a node that has no cell. Its name is the only fact that is always known.
func (c *Cells) targetOf(node string) string {
	if c.terms.holds && !c.state.joinsOnUpdate() {
		return c.state.Stable
	}
	facts := (*NodeFacts)(nil)
	if c.state.Policy != nil && c.Facts != nil {
		facts = c.Facts(node)
	}
	if facts == nil && c.state.Policy != nil {
		facts = &NodeFacts{Name: node}
	}
	return TargetOf(&c.state, facts)
}

// AllOn is the policy that keeps every node on one revision, because the update revision must not be a target
// before it has a record.
type AllOn string

// Target implements TargetPolicy.
func (r AllOn) Target(string, *NodeFacts) string { return string(r) }

// Reads implements TargetPolicy.
func (AllOn) Reads() Reads { return Reads{} }
