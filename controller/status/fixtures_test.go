package status

import "github.com/everynode/everynode/controller/fixture"

// Helpers that this package's tests share with others.
type server = fixture.Server

var (
	t0          = fixture.T0
	makeDaemon  = fixture.Daemon
	makeNode    = fixture.Node
	makePod     = fixture.Pod
	generation  = fixture.Generation
	deleting    = fixture.Deleting
	tainted     = fixture.Tainted
	bound       = fixture.Bound
	ready       = fixture.Ready
	wantStrings = fixture.WantStrings
)
