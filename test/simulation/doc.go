// Package simulation runs the controller's engine in simulated clusters, in one loop and with a virtual clock.
//
// # The cluster
//
// A Cluster has an API server in memory (package memory) and actors: controllers, schedulers, kubelets, Kubernetes' own controllers,
// and users. The loop lets one of them do one thing at a time, chosen by a seeded source of random numbers. Time is a
// clock that the loop advances. No goroutine runs beside it, nothing reads another clock, and no choice depends on the order of a
// map, so that a seed determines a history, byte for byte.
//
// # Controllers
//
// A controller is a replica of everynode-controller, and a process is one of its lives. A process is the real engine (package engine),
// with what package controller attaches to it: an informer for each resource, four work queues with their workers and
// limits, timers, and a client. Each process has caches, watches and a nonce of its own.
//
// A reconcile is a task: a coroutine (iter.Pull) that suspends itself before and after each request. What the loop does in
// the meantime is as if it happened in other threads or other processes: other tasks of the engine, another controller, events, users. To kill a process
// is never to resume its tasks.
//
// A task may also be suspended where the engine waits for a turn to create a pod (package pace). Locks are no reason to suspend: the engine holds
// one during a single kind of request, the read of a DaemonSet, which is therefore not interrupted.
//
// # Schedulers, kubelets and others
//
// Schedulers decide by caches of their own and bind later, by the product's rules of uniqueness (daemon.MayJoin) and placement (daemon.Excludes).
// They know no priorities and preemption, and of resources only that no node has as much as some pods request. Kubelets, the garbage collectors of
// objects and pods, and the quota controller see the present state. Admission is the product's rewrite, or does not answer.
//
// # Runs
//
// Random disturbs a cluster for a while by a random part of all acts and faults, repairs it, and lets it settle. Reference runs the life of
// a DaemonSet without randomness in what happens, with a fault at one write: its writes are the crash points. Failing, Flips and Restarts are
// situations that random runs are rarely in. Edited edits specs at random (package edits). All record a history.History, in which requests are
// as the API server's audit log has them, and notes for readers: Run.Tell prints both in prose.
//
// # Checks
//
// Package checker judges each history. A write has with it what its sender had seen when its task began (history.View), so that it is judged by
// what could be known. What the checker does not judge is judged here: that the cluster converges at all, and that the status of each
// DaemonSet says what is stored.
package simulation
