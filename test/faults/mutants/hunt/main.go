// Hunt simulates seed after seed, until the checker reports an invariant. See package mutants.
package main

import (
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/mutants/chase"
	"github.com/everynode/everynode/test/simulation"
)

func main() { chase.Main(run) }

// run simulates a random cluster or, for some seeds, one with a node whose pods fail.
func run(seed uint64) *history.History {
	const failing = 8
	if seed%failing == failing-1 {
		return simulation.Failing(seed).History
	}
	return simulation.Random(seed).History
}
