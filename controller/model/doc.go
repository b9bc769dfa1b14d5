// Package model is what the controller knows of the cluster: nodes, daemons, pods, ControllerRevisions, and for
// each daemon and node a cell (internal/daemon) with what is due there and what keeps it waiting.
//
// The model has no lock, no clock and no queue, and calls nobody. An Update takes an observation, or the answer to
// a request, at a given time, and adds to a Wake what has to be looked at: cells to plan, daemons whose status
// or history may have changed, and Work. Whoever owns the model keeps it locked during an Update and enqueues after
// it has released the lock.
//
// Work is what no single hold of the lock may do, because it concerns many nodes or daemons, or takes a time that
// is up to whoever wrote an object. It goes step by step: each step does at most one batch while the model is locked,
// and between two steps it computes, from what a step gave it, what the next one stores. A result is stored only
// if what it was found for is still there.
//
// Nothing walks all daemons or all nodes for one pod, and no map's order reaches what is woken.
package model
