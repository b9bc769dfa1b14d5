package daemon

import (
	"strings"
	"time"

	"github.com/google/btree"
)

// A daemon may have a cell on each of many thousands of nodes. Functions that process all of them take a few at
// a time, in the order of their names, so that the caller can release its lock in between. All sums are
// consistent between two batches, because each cell's part is replaced separately.

// lookedAt is the number of changes that a cell has processed.
type lookedAt uint32

// changes numbers the changes of Renew, so that a cell that is counted later than others applies all of them.
type changes struct {
	last    lookedAt
	revoked lookedAt // the last change that ended all permits, which depended on the earlier limits
	held    lookedAt // the last change of what the rollout holds back
	waved   lookedAt // the last time a wave passed
	updated lookedAt // the last change of the revision that is rolled out
}

// Renew sets the state of the rollout, which decides targets, the time minReady that a pod must have been ready
// to be available, and the strategy by which stale pods are replaced. Recount has to follow for all cells
// before anything is planned or granted.
func (c *Cells) Renew(state RolloutState, minReady time.Duration, strategy Strategy) {
	c.changes.last++
	if strategy != c.rollout.strategy || state.paused() != c.state.paused() {
		c.changes.revoked = c.changes.last
	}
	if !state.holdsAs(&c.state) {
		c.changes.held = c.changes.last
	}
	if state.Wave != c.state.Wave {
		c.changes.waved = c.changes.last
	}
	if state.admitted() != c.state.admitted() {
		c.changes.updated = c.changes.last
	}
	c.state = state
	c.terms = terms{update: state.Update, minReady: minReady, surges: strategy.surges(), suspended: strategy.Suspended, rollsOut: state.Hold != nil, holds: state.holds()}
	if state.Hold != nil && !strategy.Suspended {
		c.terms.dead = state.Hold.dead
	}
	c.rollout.strategy = strategy
}

// Recount gives cells their targets and counts them by the present terms.
func (c *Cells) Recount(nodes []string, now time.Time) {
	for _, node := range nodes {
		if cell, ok := c.at(node); ok {
			c.recount(cell, now)
		}
	}
}

// at returns the cell of a node after applying Renew. If a permit was used, the pod is terminating.
func (c *Cells) at(node string) (*counted, bool) {
	cell, ok := c.byNode[node]
	if ok && cell.looked != c.changes.last {
		if cell.looked < c.changes.revoked {
			cell.granted = nil
		}
		switch {
		case cell.looked < c.changes.held:
			c.reset(cell)
		case cell.looked < c.changes.waved:
			c.rewave(cell)
		}
		cell.looked = c.changes.last
		c.decide(cell)
	}
	return cell, ok
}

// NodesAfter returns the names of the next cells after a node's, sorted, at most n of them. The first ones come
// after "".
func (c *Cells) NodesAfter(node string, n int) []string {
	if c.ordered == nil {
		return nil
	}
	nodes := make([]string, 0, min(n, c.ordered.Len()))
	c.ordered.AscendGreaterOrEqual(&counted{Cell: Cell{Node: node}}, func(cell *counted) bool {
		if cell.Node != node {
			nodes = append(nodes, cell.Node)
		}
		return len(nodes) < n
	})
	return nodes
}

// Recounts is how often a cell was counted: a measure of work for tests.
func (c *Cells) Recounts() int { return c.recounts }

func (c *Cells) cell(node string) *counted {
	cell, ok := c.at(node)
	if !ok {
		if c.byNode == nil {
			c.byNode = map[string]*counted{}
			c.ordered = btree.NewG(32, func(a, b *counted) bool { return strings.Compare(a.Node, b.Node) < 0 })
		}
		cell = &counted{Cell: Cell{Node: node, looked: c.changes.last}}
		c.byNode[node] = cell
		c.ordered.ReplaceOrInsert(cell)
		c.join(cell)
		c.decide(cell)
	}
	return cell
}

// Started drops the cells that turned out to have neither a node nor pods.
func (c *Cells) Started() {
	empty := c.empty
	c.Starting, c.empty = false, nil
	for _, node := range empty {
		if cell, ok := c.at(node); ok && cell.NodeUID == "" && len(cell.Pods) == 0 {
			c.forget(cell)
		}
	}
}

func (c *Cells) forget(cell *counted) {
	if cell.left != "" && c.Forgotten != nil {
		c.Forgotten(cell.Node, string(cell.left))
	}
	c.release(cell)
	delete(c.byNode, cell.Node)
	delete(c.sent, cell.Node)
	delete(c.rollout.ranks, cell.Node)
	delete(c.down.faded, cell.Node)
	c.ordered.Delete(cell)
}
