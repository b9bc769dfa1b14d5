// Package engine is the controller without a cluster: it passes the observations of informers to the state of the cluster,
// and wires that to the reconcilers of cells, status and history. Its caller attaches informers, queues and intervals (package
// controller), or calls its functions from one loop (a simulation).
//
// It reads no clock but Deps.Clock, starts no goroutine, and no map order affects a request or an event. It assumes that
// Begin is called once everything that exists was observed, and the reconcilers only after that.
package engine
