package simulation

import (
	"github.com/everynode/everynode/test/faults/checker"
	"github.com/everynode/everynode/test/faults/history"
)

// Run is the result of a simulated run.
type Run struct {
	History *history.History
	// Violations are the invariants that do not hold; none if all do.
	Violations []string
	// Judged counts how often each invariant was judged.
	Judged map[string]int

	journal *journal
	state   []string // what the cluster was after each episode, in a form that is equal for clusters that differ only in names and times
}

// result judges the history of the cluster.
func (c *Cluster) result() *Run {
	c.checkStatuses()
	verdict := checker.Judge(c.journal.history)
	for _, violation := range verdict.Violations {
		c.violated("%s", violation.String())
	}
	return &Run{History: c.journal.history, Violations: c.violations, Judged: verdict.Judged, journal: c.journal}
}
