package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rollout controls which nodes get a new template, and when. Nodes that it holds back keep, and get again, the pods of
// the stable revision: the last one of which every eligible node had an available pod. The limits of
// updateStrategy apply unchanged, and count the nodes that are held back.
type Rollout struct {
	// Stops the rollout: no further pod is replaced. A replacement that has begun is finished, and a missing pod is created
	// again from the revision that its node has. Defaults to false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// The number of eligible nodes that keep the stable revision, as an absolute number (5) or a percentage (10%), which is
	// rounded down: with less than 100%, at least one node is updated. Raising it rolls no node back. Defaults to 0.
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : string(self).matches('^([0-9]{1,2}|100)%$')",message="partition must be a number of nodes, 0 or more, or a percentage from 0% to 100%"
	// +optional
	Partition *intstr.IntOrString `json:"partition,omitempty"`
	// Only nodes with matching labels are updated. A node that no longer matches keeps its pod. Defaults to all nodes.
	// +optional
	NodeSelector *RolloutNodeSelector `json:"nodeSelector,omitempty"`
	// Keys of node labels, for example a zone and then a rack, by whose values nodes are updated, in ascending order. Nodes
	// without the label come last; nodes with equal values are ordered by name.
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	// +listType=atomic
	// +optional
	Order []string `json:"order,omitempty"`
	// Nodes are updated wave by wave: the next wave opens when the one before has passed. After the last wave all remaining
	// nodes are updated. Defaults to one wave of all nodes.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	Waves []Wave `json:"waves,omitempty"`
	// The revision with which a node starts that joins during the rollout. "Stable": the stable revision; the node is updated
	// in its turn. "Update": the new one, also if the rollout would hold the node back. "Auto": Stable while
	// paused, partition or nodeSelector is set or a wave of fewer than 100% is open, Update otherwise. Defaults to Auto.
	// +kubebuilder:default=Auto
	// +kubebuilder:validation:Enum=Auto;Stable;Update
	// +optional
	NewNodes NewNodes `json:"newNodes,omitempty"`
	// How dead nodes are treated.
	// +optional
	DeadNodes *DeadNodes `json:"deadNodes,omitempty"`
}

// Wave is a step of a rollout. It has passed when every node that it admits has an available pod of the update revision, and
// then soak, checks and approval are done, or ended by the annotation everynode.dev/promote.
//
// +kubebuilder:validation:XValidation:rule="has(self.nodes) || has(self.nodeSelector)",message="a wave needs nodes, nodeSelector or both"
type Wave struct {
	// The name of the wave, a DNS label.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// How many eligible nodes are updated when the wave has passed, those of earlier waves included, as an absolute number
	// (5) or a percentage (10%), which is rounded up.
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : string(self).matches('^([1-9][0-9]?|100)%$')",message="nodes must be a number of nodes, 1 or more, or a percentage from 1% to 100%"
	// +optional
	Nodes *intstr.IntOrString `json:"nodes,omitempty"`
	// The wave only adds nodes with matching labels: all of them, or as many as nodes says.
	// +optional
	NodeSelector *RolloutNodeSelector `json:"nodeSelector,omitempty"`
	// Replaces updateStrategy.rollingUpdate.maxUnavailable while the wave is open.
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : string(self).matches('^([1-9][0-9]?|100)%$')",message="maxUnavailable must be a number of nodes, 1 or more, or a percentage from 1% to 100%"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// How long the nodes of the wave must have available pods before it has passed, for example 30m; at most 168h. Defaults
	// to 0s.
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+h)?([0-9]+m)?([0-9]+s)?$`
	// +kubebuilder:validation:XValidation:rule="self == '' || duration(self) <= duration('168h')",message="soak must be at most 168h"
	// +optional
	Soak string `json:"soak,omitempty"`
	// Names of checks, each of which must have reported Passed, by the annotation check.everynode.dev/<name> with the value
	// <revision>/<wave>/Passed. Failed holds the rollout.
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	Checks []string `json:"checks,omitempty"`
	// Whether the wave waits for the annotation everynode.dev/promote with the value <revision>/<wave>, or <revision> for all
	// waves. Defaults to false.
	// +optional
	Approval bool `json:"approval,omitempty"`
}

// NewNodes is the revision that nodes start with which join during a rollout.
type NewNodes string

// The values of NewNodes.
const (
	NewNodesAuto   NewNodes = "Auto"
	NewNodesStable NewNodes = "Stable"
	NewNodesUpdate NewNodes = "Update"
)

// RolloutNodeSelector selects nodes by their labels. It has the fields of a label selector; an empty one selects all nodes.
type RolloutNodeSelector struct {
	// Labels that a node must have.
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(key, size(key) <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && (dyn(self[key]) == null || size(self[key]) <= 63 && self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')))",message="matchLabels must have keys and values as labels have them"
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
	// Requirements on a node's labels.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	MatchExpressions []RolloutNodeRequirement `json:"matchExpressions,omitempty"`
}

// RolloutNodeRequirement is a requirement on the labels of a node.
//
// +kubebuilder:validation:XValidation:rule="self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",message="the operators In and NotIn need values; Exists and DoesNotExist have none"
type RolloutNodeRequirement struct {
	// The key of the label.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	// +required
	Key string `json:"key"`
	// In, NotIn, Exists or DoesNotExist.
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	// +required
	Operator string `json:"operator"`
	// The values of In and NotIn.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
	// +listType=atomic
	// +optional
	Values []string `json:"values,omitempty"`
}

// RolloutPhase summarizes a rollout.
type RolloutPhase string

// The phases of a rollout.
const (
	// RolloutComplete: the update revision is stable, and every node that has a pod has one of it.
	RolloutComplete RolloutPhase = "Complete"
	// RolloutProgressing: pods are being created or replaced, or are not available yet.
	RolloutProgressing RolloutPhase = "Progressing"
	// RolloutPaused: the rollout is not complete, and paused.
	RolloutPaused RolloutPhase = "Paused"
	// RolloutHeld: every node that may be updated is; the others wait for a change of spec.rollout, for a check of the open
	// wave or, under OnDelete, for the deletion of their pods. Or too many nodes are dead.
	RolloutHeld RolloutPhase = "Held"
	// RolloutSoaking: the nodes of the open wave have available pods, and it soaks.
	RolloutSoaking RolloutPhase = "Soaking"
	// RolloutAwaitingApproval: the open wave only waits for the annotation everynode.dev/promote.
	RolloutAwaitingApproval RolloutPhase = "AwaitingApproval"
	// RolloutSuspended: spec.suspend is true.
	RolloutSuspended RolloutPhase = "Suspended"
)

// RolloutStatus is the state of the rollout. It is present while the daemon set has spec.rollout or is paused by annotation.
type RolloutStatus struct {
	// The stable revision: the last one of which every eligible node had an available pod. Nodes that are held back have it.
	// +optional
	CurrentRevision string `json:"currentRevision,omitempty"`
	// The revision of spec.template. A pod's label controller-revision-hash has its revision.
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
	// Complete, Progressing, Soaking, AwaitingApproval, Paused, Held or Suspended. The condition Progressing has the details.
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// The nodes without an available pod, by cause. Absent if every eligible node has one.
	// +optional
	Unavailable *RolloutUnavailable `json:"unavailable,omitempty"`
	// The open wave; absent when none is.
	// +optional
	Wave *WaveStatus `json:"wave,omitempty"`
}

// WaveStatus is the state of the open wave.
type WaveStatus struct {
	// The name of the wave.
	// +required
	Name string `json:"name"`
	// Its place in spec.rollout.waves, from 0.
	// +required
	Index int32 `json:"index"`
	// The number of nodes that are admitted, those of earlier waves included.
	// +optional
	Nodes int32 `json:"nodes"`
	// The number of nodes with a pod of the update revision.
	// +optional
	Updated int32 `json:"updated"`
	// Of the admitted nodes, the number of those whose pod of the update revision is available.
	// +optional
	Available int32 `json:"available"`
	// When all of them had an available pod: the beginning of the soak, less what interrupted it.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}
