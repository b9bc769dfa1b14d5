// Package uniqueness is the scheduler plugin that keeps a daemon to one pod per node (S1), for
// pods made by anybody.
//
// Its unit is daemon.CellKey: namespace, UID of the controller reference, target node. About pods that
// are bound Filter looks at nothing but the NodeInfo it is given, so that preemption's dry runs (which
// take pods out of a copy) and nominated pods (which are put into one) are right by construction.
//
// A pod that the daemon's twin keeps away waits, unless its priority is higher: then preemption
// may put it in the twin's place. A twin that terminates holds its place until it is gone; its
// deletion wakes the pod that waits.
//
// Pods of one cell that are pending at the same time keep each other away until all but one are
// deleted, which the daemon's controller does. That holds S1 even when two schedulers bind pods at
// once, as when one was stopped between its decision and its binding and does not know yet that it
// lost its lease:
//
//   - A scheduler decides about a pod that its informer has delivered. The informer's store then
//     holds every pod that was created earlier and is not gone (twins).
//   - Of two pods one was created later. Whoever decides about that one knows of the other, as pending
//     or as bound, and does not bind it; a pod that it knows to be terminating and not bound can never
//     be bound. How much time passes between a decision and its binding does not matter.
//   - So no order among pending pods may let one of them pass: whoever decides about the older one
//     need not know of the younger.
//
// A pod that joins a cell later than it was created, because its controller reference, its labels or its
// annotation are changed, counts from that moment, for it is not served before. What remains is a pod that
// a stopped scheduler had decided about, and that left its cell and was adopted again in the meantime.
//
// While a rollout surges a pod may stand beside one of another revision, so that there are two in
// all and one of each revision: the controller marks such a pod (daemon.MayJoin).
//
// The plugin also decides whom its profile serves: pods that a daemon owns and that are pinned
// to one node. Any other pod that names the scheduler is told what to do.
package uniqueness
