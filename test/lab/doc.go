// Package lab starts a complete Kubernetes control plane on loopback, with Everynode's own processes beside it:
// etcd, kube-apiserver, kube-controller-manager and kube-scheduler as real processes, nodes simulated by kwok.
// It needs no container runtime and downloads no binaries: all of them are built from the module graph (make
// components build).
//
// Real: admission, RBAC, TLS, validation, watches, every controller, leases, leader election; Everynode's
// processes run with the tokens of their own service accounts and exactly the permissions of deploy/.
// Simulated: the node. kwok reports every pod that is bound to a node Running and Ready at once, also on a node
// that is NotReady, and keeps a deleted pod terminating for its whole grace period, as a container that ignores
// SIGTERM does (at most one second longer, because the deletion timestamp has whole seconds). Every image
// exists except one with the tag non-existent: its pods stay Pending. Nothing runs, so there are no probes, no
// logs and no exec.
//
// A lab owns its folder (a lock file refuses a second lab), its ports and its processes. The processes die with
// the lab, also when the lab is killed: each is started from one OS thread that lives as long as the lab's
// process, with that thread's death as its own SIGKILL (Linux's parent death signal). etcd listens without TLS
// on loopback and does not sync to disk: a lab is for tests and manual experiments, never for data that
// matters.
//
// A component that exits is not restarted, as a kubelet would do. A test that stops the API server for longer
// than a leader's lease therefore restarts Everynode's processes through their handles.
package lab
