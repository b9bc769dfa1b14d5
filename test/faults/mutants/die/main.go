// Die simulates rollouts while nodes die and return, until the checker reports an invariant. See package mutants.
package main

import (
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/mutants/chase"
	"github.com/everynode/everynode/test/simulation"
)

func main() {
	chase.Main(func(seed uint64) *history.History { return simulation.Deaths(seed).History })
}
