package simulation

import (
	"github.com/everynode/everynode/test/faults/history"
)

// Run is the result of a simulated run.
type Run struct {
	History *history.History
	// Violations are the invariants that do not hold; none if all do.
	Violations []string

	journal *journal
	state   []string // the end state, in a form that is equal for clusters that differ only in names and times
}

// result judges the history of the cluster.
func (c *Cluster) result() *Run {
	c.checkEnd()
	return &Run{History: c.journal.history, Violations: c.violations, journal: c.journal}
}
