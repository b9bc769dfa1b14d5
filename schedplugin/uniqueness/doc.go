// Package uniqueness is the scheduler plugin that keeps a daemon to one pod per node (S1), for
// pods made by anybody.
//
// Its unit is daemon.Key: namespace, UID of the controller reference, target node. Filter looks
// at nothing but the NodeInfo it is given, so that preemption's dry runs (which take pods out of
// a copy) and nominated pods (which are put into one) are right by construction.
//
// A pod that the daemon's twin keeps away waits, unless its priority is higher: then preemption
// may put it in the twin's place. A twin that terminates holds its place until it is gone; its
// deletion wakes the pod that waits.
//
// While a rollout surges a pod may stand beside one of another revision, so that there are two in
// all and one of each revision: the controller marks such a pod (daemon.MayJoin).
//
// The plugin also decides whom its profile serves: pods that a daemon owns and that are pinned
// to one node. Any other pod that names the scheduler is told what to do.
package uniqueness
