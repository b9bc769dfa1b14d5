// Hunt simulates seed after seed, until the checker reports an invariant. See package mutants.
package main

import (
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/mutants/chase"
	"github.com/everynode/everynode/test/simulation"
)

func main() { chase.Main(run) }

// run simulates a random cluster or, for some seeds, a situation that random clusters are rarely in.
func run(seed uint64) *history.History {
	const kinds = 8
	switch seed % kinds {
	case kinds - 1:
		return simulation.Failing(seed).History
	case kinds - 2:
		return simulation.Flips(seed / kinds).History
	case kinds - 3:
		return simulation.Restarts(seed / kinds).History
	default:
		return simulation.Random(seed).History
	}
}
