// Package uniqueness is the scheduler plugin that limits a daemon to one pod per node (S1), regardless of who created
// the pods.
//
// Its unit is daemon.CellKey: namespace, UID of the controller reference, target node. For bound pods Filter
// reads only the NodeInfo that it is given, so that preemption dry runs (which remove pods from a copy) and
// nominated pods (which are added to one) are handled correctly by construction.
//
// A pod that a twin blocks waits, unless its priority is higher: then preemption may replace the twin. A
// terminating twin holds its place until it is gone; its deletion wakes the waiting pod.
//
// Pending pods of one cell block each other until all but one are deleted, which the daemon's controller does.
// That holds S1 even when two schedulers bind pods at once, for example when one was stopped between its
// decision and its binding and does not know yet that it lost its lease:
//
//   - A scheduler decides about a pod that its informer has delivered. The informer's store then holds every
//     pod that was created earlier and still exists (twins).
//   - Of two pods one was created later. A scheduler that decides about the later one knows the other, pending
//     or bound, and does not bind it; a pod that is terminating and not bound can never be bound. The time
//     between a decision and its binding does not matter.
//   - So no order among pending pods may let one of them pass: a scheduler that decides about the older one may
//     not know the younger.
//
// A pod that joins a cell after its creation, because its controller reference, its labels or its annotation
// change, counts from that moment, because it is not served before. One case remains: a pod that a stopped
// scheduler has decided about leaves its cell and is adopted again in the meantime.
//
// During a surge a pod may run beside one of another revision, two in all and one of each revision: the
// controller marks such a pod (daemon.MayJoin).
//
// The plugin also decides which pods its profile serves: pods that a daemon owns and that are pinned to one
// node. Any other pod that names the scheduler is refused with instructions.
package uniqueness
