// Package controller attaches the engine (controller/engine) to a manager: informers, queues, intervals and
// goroutines are here and nowhere else. docs/design.md shows how a pod event passes through the packages.
//
// The unit of work is a cell, one daemon on one node, so that an event costs what it changed: a pod event one
// cell, a node event a cell for each daemon whose verdict changed, a new template one pass over the nodes. The
// state lives in the model, which informers keep up to date; no reconciliation lists anything.
//
// The cache only has to be eventually consistent. A cell whose pod is not seen yet is planned again and derives
// its own pod's name, which the API server answers with AlreadyExists: a name depends on the predecessors, so
// create-if-absent keeps "at most one" for each of them (S1). Every delete carries the UID of its pod (S5).
//
// Nothing is planned before all objects have been seen, so that a daemon's pods are not mistaken for those of a
// node that is gone.
package controller
