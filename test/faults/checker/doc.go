// Package checker judges a history by the invariants S1-S8 and L1-L4. It trusts nobody: it knows what was stored and what
// was requested, imports no code of the product but its API types, and takes the rules for eligible nodes from
// Kubernetes' own DaemonSet controller.
//
// # What could be known
//
// A controller acts on caches, and no precondition covers all that it decides on. Where an invariant restricts a decision,
// a request is judged by its window: the states of the cluster from the one that its sender had seen when it decided, up
// to the one that the request changed. A request's View names the first of these. Without one the window begins
// History.Lag before the request; while a fault is active, and for a Lag after it, it begins a Lag before the fault.
//
// # Definitions
//
// A pod belongs to the daemon that its controller reference names by UID. It is live unless it is terminating or has
// finished, and available if it is live, bound, ready for minReadySeconds, and was created for the node that exists under
// that name. A pod is ours if one of History.Controllers created it.
//
//   - S1: whenever a pod changes, at most one pod of its cell is bound and has not finished; two, if their revisions
//     differ and a spec of the daemon ever allowed a surge. Pods that were adopted do not count. A pod of ours is
//     created only if its cell was free in some state of the window: a pod holds it, also a terminating one, until it
//     is gone or has finished and terminates. And of one cell at most one pod object exists that was created after its
//     predecessor by processes that saw the predecessor vanish (a clause that needs Views).
//   - S2: no pod of ours is sent with spec.nodeName and without the gate. Stored, it has no spec.nodeName, is pinned to
//     one node by each of its terms, and keeps the gates of others. If it is bound, then to that node.
//   - S3: a pod of ours is created for a node where, in some state of the window, a pod of the daemon or of the
//     template that it was made from may start, and it fits that node itself, unless other admission has added to it.
//     No node could take it, as it is stored, that could not take it as it was sent. It is bound only to a node that it
//     fits in a state of the window. When the cluster has settled, no pod is on a node that its daemon must leave.
//   - S4: when a delete by a controller takes effect on an available pod of an eligible node, and leaves that node
//     without an available pod, then the number of eligible nodes without one is at most maxUnavailable. Counted are
//     nodes that lost their available pod to a delete by the same process (by any controller, without Views), and those
//     that were eligible and without one in all states of the window; not counted are nodes that were blocked in one of
//     them, or in a combination of the states of their objects, which come by different watches, and nodes that were dead in
//     one of them: not Ready for spec.rollout.deadNodes.afterSeconds, without a pod of spec.template, while that is not
//     recorded as stable, that was bound before. minReadySeconds is the
//     smallest of all specs of the window, but for the deleted pod the largest, and maxUnavailable the largest, or 0
//     under OnDelete. When a surge pod is created, the number of eligible nodes with live pods of two revisions is at
//     most maxSurge, likewise; not counted are nodes whose surge another process began after the window.
//   - S5: each delete, update or patch of a pod or ControllerRevision by a controller carries a UID, and the object of
//     that UID was controlled by a daemon in some state of the window. A patch may also concern an object without
//     controller.
//   - S6: a pod that one of History.Schedulers deletes has strictly lower priority than a pod that waits for its node,
//     and could not have stayed: with it on the node, the waiting pod would not fit. If it belongs to the same cell, it
//     is a twin of lower priority.
//   - S7: each request of a bystander succeeds within its time, unless the API server itself is disturbed.
//   - S8: the writes of controllers for a cell, and the evictions of schedulers for it, are bounded in every period: by
//     the number that a back-off from 1 s doubling to 15 min allows, and a few for each change of the spec, the node or
//     the programs, and for each pod that served or that others deleted.
//   - L1: when the cluster has settled, each eligible node has exactly one pod of the daemon. It is available and has
//     what spec.template says or, if spec.rollout holds the node back, the template that is recorded as stable; while it is
//     paused, or held by dead nodes, any. No more nodes are held back than a partition keeps, and no fewer updated than the open wave has. Excepted are blocked nodes, nodes without room for it, broken ones, those that are not
//     ready, and, under OnDelete, the content of the pod.
//   - L2: from then on our programs write nothing but leases, events and reviews, and nothing for broken nodes and
//     blocked nodes is counted.
//   - L3: when the cluster has settled, no pod belongs to a daemon or a node that does not exist, or to a former node
//     of that name.
//   - R1: a delete by a controller that takes effect on an available pod does not take the only pod of an eligible node
//     that spec.rollout holds back in all states of the window, by a pause, its selector or those of waves, if the pod has the stable
//     revision and spec.template is another one. Not judged is what a partition holds back, and newNodes Update. Waves pass
//     one by one, and not before their soak has ended, unless they are promoted.
//   - E1: a delete by a controller that takes effect on an available pod does not take the only pod of an eligible node
//     of a daemon that is not suspended, if the emergency stop is on in all states of the window.
//   - L4: SameEnd compares the end of two histories: for each daemon and node the contents of its pods, and the status.
//
// What a gap in the observation makes impossible to judge is counted as unjudged.
package checker
