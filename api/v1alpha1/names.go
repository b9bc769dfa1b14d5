package v1alpha1

const (
	// GroupName is the API group of Everynode.
	GroupName = "everynode.dev"

	// SystemNamespace is where Everynode itself is installed. Its pods never depend on placement
	// admission: the webhook's configuration excludes the namespace, and the controller
	// pins the pods of daemons there itself.
	SystemNamespace = "everynode-system"

	// SchedulerName is what daemon pods carry in spec.schedulerName.
	SchedulerName = "everynode-scheduler"

	// PlacementGate is the scheduling gate of a pod whose spec.nodeName still waits for the
	// rewrite. The API server refuses a pod that has both, after all mutating admission
	// (k8s.io/kubernetes pkg/apis/core/validation ValidatePodCreate), so a pod that was
	// not rewritten can never be stored: the interlock.
	PlacementGate = "everynode.dev/placement"

	// NodeUIDAnnotation is the UID of the node object that a pod was created for: the
	// node's incarnation. A node that is deleted and recreated under its name gets a new pod.
	NodeUIDAnnotation = "everynode.dev/node-uid"

	// PlacedByAnnotation names the component that turned spec.nodeName into node affinity; its values are the
	// PlacedBy constants.
	PlacedByAnnotation = "everynode.dev/placed-by"

	// PlacementLabel with the value PlacementScheduler, on a pod or on its namespace, requests
	// the rewrite of pods that no daemon owns.
	PlacementLabel = "everynode.dev/placement"

	// SurgeAnnotation with the value "true" marks a pod that may run beside one of an older
	// revision on its node, while a rollout surges.
	SurgeAnnotation = "everynode.dev/surge"

	// PausedAnnotation with the value "true" on a DaemonSet of everynode.dev pauses its rollout, as spec.rollout.paused does.
	PausedAnnotation = "everynode.dev/paused"

	// PromoteAnnotation on a DaemonSet of everynode.dev ends what a wave of a revision waits for once its nodes have available pods:
	// soak, checks and approval. Its value is <revision>/<wave>, or <revision> for all waves; a value acts once.
	PromoteAnnotation = "everynode.dev/promote"

	// CheckAnnotationPrefix with the name of a check is the annotation on a DaemonSet of everynode.dev by which whoever runs the check
	// reports its outcome: <revision>/<wave>/Passed or <revision>/<wave>/Failed.
	CheckAnnotationPrefix = "check.everynode.dev/"

	// WaveAnnotation on a ControllerRevision records which wave of its rollout is open, and since when it has soaked.
	WaveAnnotation = "everynode.dev/wave"

	// PromotedAnnotation on a ControllerRevision is the last value of PromoteAnnotation that was obeyed for its revision.
	PromotedAnnotation = "everynode.dev/promoted"

	// StableAnnotation on a ControllerRevision records that its revision became stable. Its value is a number; the highest of
	// a DaemonSet's records wins.
	StableAnnotation = "everynode.dev/stable"

	// StopName is the name of the ConfigMap in SystemNamespace that is the emergency stop: while its StopKey is "true", no
	// DaemonSet gets new permissions to replace pods by ones of a new template. Its StopReasonKey is shown to users.
	StopName      = "everynode-stop"
	StopKey       = "stop"
	StopReasonKey = "reason"

	// DaemonPodAnnotation marks a pod as a daemon's for the cluster autoscaler, whatever
	// kind owns it (kubernetes/autoscaler FAQ, "DaemonSet pods").
	DaemonPodAnnotation = "cluster-autoscaler.kubernetes.io/daemonset-pod"
)

// Values of PlacedByAnnotation and PlacementLabel.
const (
	PlacedByWebhook    = "webhook"
	PlacedByPolicy     = "policy"
	PlacedByController = "controller"

	PlacementScheduler = "scheduler"
)

// The types of a DaemonSet's conditions.
const (
	// ConditionAvailable: no more eligible nodes than maxUnavailable allows are without an available pod, and
	// at least one has an available pod.
	ConditionAvailable = "Available"
	// ConditionProgressing: pods are being created, or replaced by pods of the current template.
	ConditionProgressing = "Progressing"
	// ConditionDegraded: something keeps pods from being created; the message states what, and on which nodes.
	ConditionDegraded = "Degraded"
	// ConditionPlacementAdmission: the cluster's admission pins pods to their nodes. The condition is absent
	// with --placement=direct, where the controller does.
	ConditionPlacementAdmission = "PlacementAdmission"
	// ConditionDisruptionBudget: the PodDisruptionBudgets that select the pods can be computed. The condition is present
	// only while it is False: a budget that cannot be computed allows no evictions, and blocks a drain indefinitely.
	ConditionDisruptionBudget = "DisruptionBudget"
	// ConditionReconciling: repeats Progressing while that is True, for tools that follow kstatus; otherwise absent.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: repeats Degraded while that is True, for tools that follow kstatus; otherwise absent.
	ConditionStalled = "Stalled"
)
