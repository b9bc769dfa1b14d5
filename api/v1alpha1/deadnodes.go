package v1alpha1

import "k8s.io/apimachinery/pkg/util/intstr"

// DeadNodes controls how a rollout treats dead nodes: those whose condition Ready has been False or Unknown for some time. A
// node without this condition is not dead.
type DeadNodes struct {
	// "Exclude": a dead node without a pod of the update revision that was bound before costs nothing of maxUnavailable and
	// maxSurge. It is updated when it is Ready again, and the rollout completes without it. "Count": dead nodes are treated like
	// all others. Defaults to Exclude.
	// +kubebuilder:default=Exclude
	// +kubebuilder:validation:Enum=Exclude;Count
	// +optional
	Policy DeadNodePolicy `json:"policy,omitempty"`
	// How long a node must not have been Ready to be dead. Defaults to 60.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	// +optional
	AfterSeconds int32 `json:"afterSeconds,omitempty"`
	// The rollout holds while more of the eligible nodes are dead than this number (5) or percentage (10%) of them. Defaults
	// to 25%.
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : string(self).matches('^([0-9]{1,2}|100)%$')",message="maxShare must be a number of nodes, 0 or more, or a percentage from 0% to 100%"
	// +optional
	MaxShare *intstr.IntOrString `json:"maxShare,omitempty"`
}

// DeadNodePolicy is what dead nodes cost.
type DeadNodePolicy string

// The values of DeadNodePolicy.
const (
	DeadNodesExclude DeadNodePolicy = "Exclude"
	DeadNodesCount   DeadNodePolicy = "Count"
)

// RolloutUnavailable counts the eligible nodes without an available pod, each by one cause.
type RolloutUnavailable struct {
	// Nodes whose pod of the update revision is not available.
	// +optional
	Updated int32 `json:"updated,omitempty"`
	// Nodes whose pod of another revision is not available.
	// +optional
	Stale int32 `json:"stale,omitempty"`
	// Nodes without a pod.
	// +optional
	Missing int32 `json:"missing,omitempty"`
	// Nodes whose pod the scheduler cannot bind.
	// +optional
	Unschedulable int32 `json:"unschedulable,omitempty"`
	// Nodes that the placement excludes which admission added to their pod.
	// +optional
	Blocked int32 `json:"blocked,omitempty"`
	// Dead nodes that the rollout does not count.
	// +optional
	DeadNode int32 `json:"deadNode,omitempty"`
}
