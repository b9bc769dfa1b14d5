package mutants

// Mutant is a bug.
type Mutant struct {
	Name string
	// Breaks is the invariant that must be reported.
	Breaks string
	// Program finds it.
	Program Program
	// Bug says what is wrong, and where it happened.
	Bug string
}

// Program is a program that records histories and judges them.
type Program string

// The programs.
const (
	Hunt     Program = "hunt"     // the simulation of the controller
	Hold     Program = "hold"     // the simulation of rollouts that hold nodes back
	Die      Program = "die"      // the simulation of rollouts while nodes die and return
	Place    Program = "place"    // the webhook, and the rewrite in the controller
	Schedule Program = "schedule" // everynode-scheduler
)

// All are the mutants.
var All = []Mutant{
	{"random-names", "S1", Hunt, "pod names are random, so that two controllers replace one pod by two (k/k#54096)"},
	{"terminating-ignored", "S1", Hunt, "a terminating pod does not hold its place (k/k#50477)"},
	{"pending-not-counted", "S1", Hunt, "a pod counts only when it is bound (k/k#14550)"},
	{"names-of-process", "S1", Hunt, "names depend on the process, so that after a restart, or with another leader, one pod is replaced by two"},
	{"work-before-begin", "S1", Hunt, "work begins before everything was listed: a node whose pod was not listed yet gets another one"},
	{"delete-without-uid", "S5", Hunt, "a delete has no UID, and may hit a successor of the same name (k/k#59848)"},
	{"claim-without-uid", "S5", Hunt, "the patch that changes a pod's owner has no UID"},
	{"record-deleted-without-uid", "S5", Hunt, "the delete of a ControllerRevision has no UID"},
	{"no-gate", "S2", Hunt, "a pod is sent with spec.nodeName and without the gate: without admission it bypasses the scheduler"},
	{"no-tolerations", "S3", Hunt, "pods are created without the tolerations of daemons (k/k#32510)"},
	{"taints-ignored", "S3", Hunt, "NoSchedule taints do not prevent a pod from starting"},
	{"class-ignored", "S3", Hunt, "the node selector of the RuntimeClass does not count"},
	{"budget-forgets-creating", "S4", Hunt, "a node whose pod is being created does not count as unavailable (k/k#123232)"},
	{"permits-not-counted", "S4", Hunt, "permits that are not used yet do not count"},
	{"lost-reply-forgotten", "S4", Hunt, "a delete whose answer was lost counts as not sent, so that another node gets its permit when the template changes"},
	{"accepted-delete-forgotten", "S4", Hunt, "an accepted delete counts only when the watch shows it"},
	{"restart-forgets-deletes", "S4", Hunt, "after a restart, nodes whose pod an earlier process deleted do not count as unavailable"},
	{"handed-over-early", "S4", Hunt, "a surge deletes the former pod before the new one is available"},
	{"surge-unlimited", "S4", Hunt, "all nodes surge at once"},
	{"no-version-precondition", "S4", Hunt, "an unavailable pod is deleted although it has become available in the meantime"},
	{"min-ready-ignored", "S4", Hunt, "a pod is available as soon as it is ready (openkruise/kruise#1323)"},
	{"on-delete-ignored", "S4", Hunt, "OnDelete rolls out (apps/v1: \"should not update pod when spec was updated and update strategy is OnDelete\")"},
	{"former-node-kept", "L3", Hunt, "the pod of a former node is kept when a node is recreated under its name (k/k#132182)"},
	{"no-back-off", "S8", Hunt, "retries do not back off (k/k#65240)"},
	{"excess-kept", "L1", Hunt, "a second pod of a node stays (k/k#22545)"},
	{"finished-kept", "L1", Hunt, "a pod that has finished is not replaced (openkruise/kruise#744)"},
	{"status-always-written", "L2", Hunt, "the status is written although nothing has changed"},

	{"pause-ignored", "R1", Hold, "a paused rollout admits further nodes"},
	{"selection-ignored", "R1", Hold, "nodes that the rollout does not select are admitted"},
	{"relabelled-stays-admitted", "R1", Hold, "a node that is no longer selected before it was updated is updated all the same"},
	{"soak-ignored", "R1", Hold, "a wave passes before it has soaked"},
	{"wave-open-to-all", "R1", Hold, "nodes of later waves are updated in the first one"},
	{"partition-keeps-more", "L1", Hold, "a partition holds more nodes back than it keeps"},

	{"stop-ignored", "E1", Hold, "the emergency stop does not end permits, and further ones are given"},

	{"dead-node-costs", "L1", Die, "a dead node costs: a rollout does not end while as many are dead as may be unavailable"},
	{"dead-after-update-excused", "S4", Die, "a node that died after its update costs nothing, so that a bad update goes on"},

	{"term-appended", "S2", Place, "the pin is another term beside those of the pod, which are ORed"},
	{"terms-replaced", "S3", Place, "the pin replaces the terms of the pod (upstream's ReplaceDaemonSetPodNodeNameNodeAffinity)"},
	{"one-term-pinned", "S2", Place, "only the first term is pinned in the webhook's patch"},
	{"foreign-gates-stripped", "S2", Place, "the rewrite removes the gates of other controllers"},
	{"patch-strips-gates", "S2", Place, "the webhook's patch removes all gates"},
	{"node-name-kept", "S2", Place, "the webhook's patch leaves spec.nodeName"},

	{"terminating-twin-ignored", "S1", Schedule, "the scheduler binds a pod while another one of its daemon terminates"},
	{"any-twin-joins", "S1", Schedule, "the scheduler binds a second pod of a daemon"},
	{"hint-ignores-twin", "L1", Schedule, "a pod that waits for the end of its twin is never woken"},
	{"waker-sleeps", "L1", Schedule, "pods that wait for each other are never woken"},
	{"hint-ignores-room", "L1", Schedule, "a pod that waits for room is never woken by a pod that leaves its node"},
	{"evicts-all", "S6", Schedule, "preemption evicts all pods of lower priority instead of those in the way (k/k#130429)"},
}
