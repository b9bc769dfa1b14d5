// Package engine is the controller without a cluster: it takes what informers see, plans cells with the rules of
// internal/daemon, acts on the plans, keeps ControllerRevisions and writes status. Whoever runs it attaches informers,
// queues and intervals (package controller), or calls its functions from one loop (a simulation).
//
// No clock but Deps.Clock is read, no goroutine is started, and no order of a map reaches a request or an event.
package engine
