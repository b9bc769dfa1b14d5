// Package preemption is the scheduler plugin by which a daemon's pod makes room on its node. It is Kubernetes'
// DefaultPreemption with three additions.
//
// Victims: within a priority, pods that can run elsewhere are preempted before pods that are pinned here, for
// which an eviction is an outage that no other node can compensate (k/k#141227). Everything else is upstream's:
// victims only on the pod's node, of lower priority, as few as possible, and respecting disruption budgets as
// far as there is a choice.
//
// Reasons: the status describes what preemption did for the pod, or why it can do nothing.
//
// Back-off: the room that preemption makes is reserved in this scheduler, by nomination, but another scheduler
// may fill it with the evicted pods (k/k#130429: 8,000 evictions for one pod in two days). So the plugin
// records which pods were on the node when it made room. If the pod returns and other pods are there, the room
// was taken. The plugin emits an event, counts it, and waits for a time that doubles before it evicts the next
// pod. The record is local to the process. As the cluster's only scheduler (docs/scheduler.md, the primary
// install) it does not lose the room to others.
package preemption
