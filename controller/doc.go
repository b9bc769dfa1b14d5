// Package controller attaches the engine (controller/engine) to a manager: informers, queues, intervals and
// goroutines are here and nowhere else. docs/design.md shows how a pod event passes through the packages.
//
// The unit of work is a cell, one daemon on one node, so that an event costs what it changed:
// a pod's event one cell, a node's event a cell for each daemon whose verdict changed, a new
// template one pass over the nodes. What is known lives in the model, which informers keep up to
// date; no reconciliation lists anything.
//
// The cache only has to be eventually consistent. A cell whose pod is not seen
// yet is planned again, meets its own pod's name in the API server, and that answer is enough:
// a name depends on the pods that the new one comes after, so "at most one" for each of them is
// kept by create-if-absent (S1).
// Every delete carries the UID it means (S5).
//
// Nothing is planned before all that there is was seen, so that a daemon's pods are not taken
// for those of a node that is gone.
package controller
