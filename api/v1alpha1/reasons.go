package v1alpha1

// What users and their scripts read of a DaemonSet: the reasons of its conditions and of events. docs/reference/events.md
// is generated from the comments in this file and from those of the condition types.

// Reasons of the condition Available.
const (
	// ReasonNoEligibleNodes: True. No node is eligible, so no pods are needed.
	ReasonNoEligibleNodes = "NoEligibleNodes"
	// ReasonAllNodesAvailable: True. Every eligible node has an available pod.
	ReasonAllNodesAvailable = "AllNodesAvailable"
	// ReasonWithinMaxUnavailable: True. Some eligible nodes have no available pod, but no more than
	// spec.updateStrategy.rollingUpdate.maxUnavailable allows. The message names the first ones.
	ReasonWithinMaxUnavailable = "WithinMaxUnavailable"
	// ReasonSuspended: True. spec.suspend is true: pods are deleted, and none is created. The message says how many nodes still
	// have one. Progressing is False with the same reason.
	ReasonSuspended = "Suspended"
	// ReasonNodesUnavailable: False. More eligible nodes than that have no available pod. The message names the first ones.
	ReasonNodesUnavailable = "NodesUnavailable"
)

// Reasons of the condition Progressing.
const (
	// ReasonPodsMissing: True. Some eligible nodes have no pod.
	ReasonPodsMissing = "PodsMissing"
	// ReasonRollingOut: True. Every eligible node has a pod, and some of the pods are not of the current template.
	ReasonRollingOut = "RollingOut"
	// ReasonPodsPending: True. Pods wait for their scheduler for longer than a minute, or every eligible node has a pod of
	// the current template and some have not started. The message has the scheduler's reasons. With this reason Degraded
	// is False: pods have waited for less than a minute.
	ReasonPodsPending = "PodsPending"
	// ReasonOnDelete: False. Some pods are not of the current template, and the update strategy is OnDelete: a node
	// gets a new pod once its old one is deleted.
	ReasonOnDelete = "OnDelete"
	// ReasonPaused: False. The rollout is paused, by spec.rollout.paused or the annotation everynode.dev/paused, and some nodes do
	// not have the current template.
	ReasonPaused = "Paused"
	// ReasonHeld: False. Every node that spec.rollout lets have the current template has it; others keep the stable revision. The
	// message states what holds them, for example a check of the open wave.
	ReasonHeld = "Held"
	// ReasonEmergencyStop: False. The emergency stop is on, or was not read yet, and some nodes do not have the current template.
	// The message states how to end it.
	ReasonEmergencyStop = "EmergencyStop"
	// ReasonSoaking: True. Every node of the open wave has an available pod of the current template; the next wave opens when the
	// wave has soaked. The message states when.
	ReasonSoaking = "Soaking"
	// ReasonAwaitingApproval: False. The open wave waits for the annotation everynode.dev/promote; the message has its value.
	ReasonAwaitingApproval = "AwaitingApproval"
	// ReasonTooManyDeadNodes: False. The rollout holds, because more of the eligible nodes are dead than spec.rollout.deadNodes.maxShare
	// allows. Missing pods are created. It continues when fewer are.
	ReasonTooManyDeadNodes = "TooManyDeadNodes"
	// ReasonComplete: False. Every eligible node that is neither blocked nor dead has a pod of the current template, and the pod
	// has started.
	ReasonComplete = "Complete"
)

// Reasons of the condition Degraded. Those of Warning events are among them as well: what keeps pods from being created is
// reported by both. With the others, from SpecUndecodable on, the DaemonSet is not served: Available is Unknown and Progressing
// is False with the same reason, and no pod is created, replaced or deleted until the DaemonSet is corrected.
const (
	// ReasonAsExpected: False. Nothing keeps pods from being created.
	ReasonAsExpected = "AsExpected"
	// ReasonUnschedulable: True. Pods have waited for more than a minute, and their scheduler's answer is that they do not fit.
	// The message has its reasons.
	ReasonUnschedulable = "Unschedulable"
	// ReasonPlacementExcludesNode: True. Admission added placement to pods that excludes their nodes. These nodes are
	// blocked: they do not hold up a rollout, and are tried again after 1 s, doubling to 15 min.
	ReasonPlacementExcludesNode = "PlacementExcludesNode"
	// ReasonSpecUndecodable: True. The spec cannot be decoded.
	ReasonSpecUndecodable = "SpecUndecodable"
	// ReasonInvalidSelector: True. spec.selector is invalid, or empty.
	ReasonInvalidSelector = "InvalidSelector"
	// ReasonSelectorMismatch: True. spec.selector does not match the labels of the template.
	ReasonSelectorMismatch = "SelectorMismatch"
	// ReasonInvalidRollout: True. spec.rollout is invalid.
	ReasonInvalidRollout = "InvalidRollout"
	// ReasonInvalidTemplate: True. No pod can be made from the template.
	ReasonInvalidTemplate = "InvalidTemplate"
	// ReasonTooLarge: True. The selector or the template has more elements, or longer quantities, than the
	// controller computes with.
	ReasonTooLarge = "TooLarge"
)

// Reasons of the condition PlacementAdmission and of the events about it. The condition is there unless the controller runs with --placement=direct.
const (
	// ReasonPlacementAdmissionEffective: True. The event is Normal. Admission (the webhook or the policy) pins the pods to their nodes.
	ReasonPlacementAdmissionEffective = "PlacementAdmissionEffective"
	// ReasonPlacementAdmissionNotEffective: False. The event is a Warning. Admission does not pin the pods. With --placement=auto the controller pins the
	// pods itself; with --placement=admission no pods are created.
	ReasonPlacementAdmissionNotEffective = "PlacementAdmissionNotEffective"
)

// Reasons of the condition DisruptionBudget and of the Warning event about it.
const (
	// ReasonBudgetNotComputable: False. The disruption controller cannot compute a PodDisruptionBudget that selects the
	// pods, which then cannot be evicted. The message names the budget.
	ReasonBudgetNotComputable = "BudgetNotComputable"
)

// Reasons of Normal events.
const (
	// EventSuccessfulCreate: pods were created.
	EventSuccessfulCreate = "SuccessfulCreate"
	// EventSuccessfulDelete: pods were deleted. The note has the reasons.
	EventSuccessfulDelete = "SuccessfulDelete"
	// EventSucceededDaemonPod: pods ran to completion and are replaced.
	EventSucceededDaemonPod = "SucceededDaemonPod"
	// EventPodClaimed: pods were adopted, or released because the selector does not match their labels.
	EventPodClaimed = "PodClaimed"
)

// Reasons of Warning events.
const (
	// EventFailedCreate: the API server did not accept pods. They are tried again after 1 s, doubling to 15 min.
	EventFailedCreate = "FailedCreate"
	// EventPodNameTaken: a pod that the DaemonSet does not control has the name that one of its pods needs.
	EventPodNameTaken = "PodNameTaken"
	// EventNamespaceTerminating: no pod can be created because the namespace is being deleted. The event is about the
	// namespace.
	EventNamespaceTerminating = "NamespaceTerminating"
	// EventNamespaceNotFound: no pod can be created because the namespace is gone. The event is about the namespace.
	EventNamespaceNotFound = "NamespaceNotFound"
	// EventUnauthorized: the API server does not accept the controller's credentials.
	EventUnauthorized = "Unauthorized"
	// EventNotServed: the server that answers does not serve the resource.
	EventNotServed = "NotServed"
	// EventSelectorDoesNotMatch: spec.selector would not match the pods, because of a label that the controller
	// sets on them or that admission changed.
	EventSelectorDoesNotMatch = "SelectorDoesNotMatch"
	// EventFailedDelete: the API server did not delete a pod that has to go.
	EventFailedDelete = "FailedDelete"
	// EventFailedClaim: the API server did not change the owner of a pod that has to be adopted or released.
	EventFailedClaim = "FailedClaim"
	// EventFailedDaemonPod: pods failed and are replaced.
	EventFailedDaemonPod = "FailedDaemonPod"
	// EventRevisionNotRecorded: the ControllerRevision of the current template could not be stored. Until it is, pods keep
	// the template that they have and are recreated from it; a new DaemonSet gets no pods.
	EventRevisionNotRecorded = "RevisionNotRecorded"
	// EventPodNotRelabelled: the template has two ControllerRevisions, and the label of a pod of one of them could
	// not be changed to the other. Until it is, no pod of the DaemonSet is created or replaced.
	EventPodNotRelabelled = "PodNotRelabelled"
	// EventRevisionNameTaken: another object has the name of the current template's ControllerRevision; another name is
	// chosen, by status.collisionCount.
	EventRevisionNameTaken = "RevisionNameTaken"
	// EventPreemptionRefilled: about a pod, by everynode-scheduler. Preemption made room for the pod on its node, and
	// a pod of lower priority took the room first. Nothing is evicted for it during the time that the note states.
	EventPreemptionRefilled = "PreemptionRefilled"
)
