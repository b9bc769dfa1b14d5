// Package preemption is the scheduler plugin by which a daemon's pod makes room on its node:
// Kubernetes' DefaultPreemption, to which it adds three things.
//
// Whom: within a priority the pods that can run elsewhere go before those that are pinned here, for
// whom an eviction is an outage that no other node can mend (k/k#141227). Everything else is
// upstream's: victims on the pod's node alone, for it can go to no other; of lower priority;
// budgets honoured as far as there is a choice; as few as will do.
//
// What for: the status says what preemption did for the pod, or why it can do nothing.
//
// How often: the room that preemption makes is reserved in this scheduler, by nomination, and not
// in another one, which may fill it with what was evicted (k/k#130429: 8,000 evictions for one pod
// in two days). So the plugin remembers who was on the node when it made room. When the pod
// returns and others are there, the room was taken: there is an event, a count, and a wait that
// doubles, before the next pod is evicted for it. The memory is the process's own. As the cluster's
// only scheduler (docs/scheduler.md, the primary install) nobody can take that room.
package preemption
