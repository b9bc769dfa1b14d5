// Package model is the controller's state of the cluster: nodes, daemons, pods, ControllerRevisions, and for
// each daemon and node a cell (internal/daemon) with its due work and what delays it.
//
// The model has no lock, no clock and no queue, and makes no calls. An Update applies an observation, or the
// answer to a request, at a given time, and adds the resulting work to a Wake: cells to plan, daemons whose
// status or history may have changed, and Work. The owner of the model locks it during an Update and enqueues
// after releasing the lock.
//
// Work is what needs more than one hold of the lock, because it concerns many nodes or daemons, or takes a time
// that users decide. It runs step by step: each step does at most one batch while the model is locked, and
// between two steps it computes, from the output of a step, the input of the next one. A result is stored only
// if its input still exists.
//
// Nothing walks all daemons or all nodes for one pod, and no map order affects what is woken.
package model
