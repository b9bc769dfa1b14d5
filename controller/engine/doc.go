// Package engine is the controller without a cluster: it receives the observations of informers, plans cells
// with the rules of internal/daemon, executes the plans, maintains ControllerRevisions and writes status. Its
// caller attaches informers, queues and intervals (package controller), or calls its functions from one loop (a
// simulation).
//
// It reads no clock but Deps.Clock, starts no goroutine, and no map order affects a request or an event.
package engine
