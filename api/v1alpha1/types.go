package v1alpha1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// DaemonSet runs one copy of a pod on every eligible node, and leaves its placement to the scheduler.
// It has the fields of apps/v1's DaemonSet, with the same meaning.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=daemonsets,singular=daemonset,shortName=nds,categories=all
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredNumberScheduled`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.currentNumberScheduled`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.numberReady`
// +kubebuilder:printcolumn:name="Up-To-Date",type=integer,JSONPath=`.status.updatedNumberScheduled`
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=`.status.numberAvailable`
// +kubebuilder:printcolumn:name="Rollout",type=string,JSONPath=`.status.rollout.phase`
// +kubebuilder:printcolumn:name="Stable",type=string,priority=1,JSONPath=`.status.rollout.currentRevision`
// +kubebuilder:printcolumn:name="Update",type=string,priority=1,JSONPath=`.status.rollout.updateRevision`
// +kubebuilder:printcolumn:name="Wave",type=string,priority=1,JSONPath=`.status.rollout.wave.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DaemonSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The desired behavior of this daemon set.
	// +required
	Spec DaemonSetSpec `json:"spec"`
	// The current status of this daemon set. Populated by the controller; read-only.
	// It may be out of date by some window of time.
	// +optional
	Status DaemonSetStatus `json:"status,omitempty"`
}

// The CEL rules below are those of k8s.io/kubernetes pkg/apis/apps/validation ValidateDaemonSetSpec, and name its
// fields; what that function checks of the pod template's own fields is left to the validating webhook. A null is an
// absent field, also in the selector; a null label is an empty one, as it is to core's decoder.

// DaemonSetSpec is the specification of a daemon set.
//
// +kubebuilder:validation:XValidation:rule=`has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0 ? has(oldSelf.selector.matchLabels) && size(self.selector.matchLabels) == size(oldSelf.selector.matchLabels) && self.selector.matchLabels.all(k, k in oldSelf.selector.matchLabels && (dyn(self.selector.matchLabels[k]) == null ? "" : self.selector.matchLabels[k]) == (dyn(oldSelf.selector.matchLabels[k]) == null ? "" : oldSelf.selector.matchLabels[k])) : !has(oldSelf.selector.matchLabels) || size(oldSelf.selector.matchLabels) == 0`,fieldPath=".selector",message="spec.selector is immutable: delete the DaemonSet (with --cascade=orphan to keep its pods) and create it again"
// +kubebuilder:validation:XValidation:rule="has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0 ? has(oldSelf.selector.matchExpressions) && size(self.selector.matchExpressions) == size(oldSelf.selector.matchExpressions) && self.selector.matchExpressions.all(e, oldSelf.selector.matchExpressions.exists(o, e.key == o.key && e.operator == o.operator && (has(e.values) && size(e.values) > 0 ? has(o.values) && e.values == o.values : !has(o.values) || size(o.values) == 0))) && oldSelf.selector.matchExpressions.all(e, self.selector.matchExpressions.exists(o, e.key == o.key && e.operator == o.operator && (has(e.values) && size(e.values) > 0 ? has(o.values) && e.values == o.values : !has(o.values) || size(o.values) == 0))) : !has(oldSelf.selector.matchExpressions) || size(oldSelf.selector.matchExpressions) == 0",fieldPath=".selector",message="spec.selector is immutable: delete the DaemonSet (with --cascade=orphan to keep its pods) and create it again"
// +kubebuilder:validation:XValidation:rule="(has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)",fieldPath=".selector",message="empty selector is invalid for daemonset: name the labels of the template in spec.selector"
// +kubebuilder:validation:XValidation:rule=`!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, has(self.template.metadata) && has(self.template.metadata.labels) && k in self.template.metadata.labels && (dyn(self.template.metadata.labels[k]) == null ? "" : self.template.metadata.labels[k]) == (dyn(self.selector.matchLabels[k]) == null ? "" : self.selector.matchLabels[k]))`,fieldPath=".template.metadata.labels",message="selector does not match template labels: spec.template.metadata.labels must carry every label of spec.selector.matchLabels"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, has(self.template.metadata) && has(self.template.metadata.labels) && e.key in self.template.metadata.labels ? (e.operator == 'Exists' || (e.operator == 'In' && has(e.values) && self.template.metadata.labels[e.key] in e.values) || (e.operator == 'NotIn' && has(e.values) && !(self.template.metadata.labels[e.key] in e.values))) : (e.operator == 'DoesNotExist' || (e.operator == 'NotIn' && has(e.values))))",fieldPath=".template.metadata.labels",message="selector does not match template labels: spec.template.metadata.labels must satisfy every requirement of spec.selector.matchExpressions"
// +kubebuilder:validation:XValidation:rule="!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",fieldPath=".selector.matchExpressions",message="spec.selector.matchExpressions: operator must be In or NotIn with values, or Exists or DoesNotExist without"
// +kubebuilder:validation:XValidation:rule="!has(self.template.spec.restartPolicy) || self.template.spec.restartPolicy == 'Always'",fieldPath=".template.spec.restartPolicy",message="spec.template.spec.restartPolicy: supported value: Always"
// +kubebuilder:validation:XValidation:rule="!has(self.template.spec.activeDeadlineSeconds)",fieldPath=".template.spec.activeDeadlineSeconds",message="spec.template.spec.activeDeadlineSeconds is not supported in a DaemonSet"
// +kubebuilder:validation:XValidation:rule="['controller-revision-hash', 'pod-template-generation'].all(l, !self.template.?metadata.?labels[?l].hasValue() || oldSelf.?template.?metadata.?labels[?l].hasValue())",optionalOldSelf=true,fieldPath=".template.metadata.labels",message="spec.template.metadata.labels: controllers set controller-revision-hash and pod-template-generation on the pods they create; remove them from the template"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || ['controller-revision-hash', 'pod-template-generation'].all(l, !(has(self.selector.matchLabels) && l in self.selector.matchLabels) && !(has(self.selector.matchExpressions) && self.selector.matchExpressions.exists(e, e.key == l)))",optionalOldSelf=true,fieldPath=".selector",message="spec.selector: controllers set controller-revision-hash and pod-template-generation on the pods they create, and their values change; select pods by labels of your own"
// +kubebuilder:validation:XValidation:rule="!has(self.rollout) || !has(self.rollout.partition) || self.updateStrategy.type != 'OnDelete'",fieldPath=".rollout.partition",message="spec.rollout.partition has no effect with the update strategy OnDelete: remove it, and use nodeSelector"
// +kubebuilder:validation:XValidation:rule="!has(self.rollout) || !has(self.rollout.waves) || self.updateStrategy.type != 'OnDelete'",fieldPath=".rollout.waves",message="spec.rollout.waves has no effect with the update strategy OnDelete: remove it, and use nodeSelector"
type DaemonSetSpec struct {
	// A label query over pods that are managed by the daemon set. It must match the labels of the pod
	// template, must not be empty, and cannot be changed. See also
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
	// +required
	Selector *metav1.LabelSelector `json:"selector"`
	// An object that describes the pod that will be created on every eligible node: one that matches the
	// template's node selector and required node affinity, and whose NoSchedule and NoExecute taints the
	// template tolerates. The only allowed template.spec.restartPolicy value is "Always". The fields are those of
	// a pod: "kubectl explain pod.spec" describes them.
	// +required
	Template corev1.PodTemplateSpec `json:"template"`
	// An update strategy to replace existing pods with new pods when the template changes.
	// Defaults to RollingUpdate with maxUnavailable 1 and maxSurge 0.
	// +kubebuilder:default={}
	// +optional
	UpdateStrategy DaemonSetUpdateStrategy `json:"updateStrategy,omitempty"`
	// The minimum number of seconds for which a newly created pod must be ready, without any of its
	// containers crashing, to be considered available. Defaults to 0: the pod is considered available
	// as soon as it is ready.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// Whether the daemon set is suspended. While it is, no node is eligible: its pods are deleted, on at most
	// updateStrategy.rollingUpdate.maxUnavailable nodes at a time and on at least one, and none is created. When it is
	// resumed, every eligible node gets a pod. Defaults to false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// The number of old revisions of the template to retain to allow rollback, as ControllerRevisions.
	// Revisions that pods still have are retained beside them. Defaults to 10.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
	// Holds nodes back from a new template: pause, a part of the nodes, an order. Without it, a new template rolls out to all
	// nodes as with apps/v1.
	// +optional
	Rollout *Rollout `json:"rollout,omitempty"`
}

// DaemonSetUpdateStrategy controls how pods are replaced when the template changes.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || [self.rollingUpdate.maxUnavailable].all(v, type(v) == int ? v >= 0 : string(v).matches('^0*([0-9]{1,2}|100)%$'))",fieldPath=".rollingUpdate.maxUnavailable",message="maxUnavailable must be a number of nodes, 0 or more, or a percentage from 0% to 100%"
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || [self.rollingUpdate.maxSurge].all(v, type(v) == int ? v >= 0 : string(v).matches('^0*([0-9]{1,2}|100)%$'))",fieldPath=".rollingUpdate.maxSurge",message="maxSurge must be a number of nodes, 0 or more, or a percentage from 0% to 100%"
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || string(self.rollingUpdate.maxUnavailable).matches('^0+%?$') || string(self.rollingUpdate.maxSurge).matches('^0+%?$')",fieldPath=".rollingUpdate.maxSurge",message="maxSurge may not be set when maxUnavailable is non-zero: set maxUnavailable to 0 (its default is 1)"
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || !string(self.rollingUpdate.maxUnavailable).matches('^0+%?$') || !string(self.rollingUpdate.maxSurge).matches('^0+%?$')",fieldPath=".rollingUpdate.maxUnavailable",message="maxUnavailable cannot be 0 when maxSurge is 0: nothing could ever be replaced"
type DaemonSetUpdateStrategy struct {
	// Type of daemon set update. "RollingUpdate" replaces old pods within the limits in rollingUpdate.
	// "OnDelete" gives a node a new pod only once its old pod was deleted by a user or another controller.
	// Defaults to RollingUpdate.
	// +kubebuilder:default=RollingUpdate
	// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
	// +optional
	Type appsv1.DaemonSetUpdateStrategyType `json:"type,omitempty"`
	// Rolling update config params. Used only if type is "RollingUpdate".
	// +optional
	RollingUpdate *RollingUpdateDaemonSet `json:"rollingUpdate,omitempty"`
}

// RollingUpdateDaemonSet controls the pace of a rolling update. Exactly one of maxUnavailable and maxSurge
// is not 0.
type RollingUpdateDaemonSet struct {
	// The maximum number of eligible nodes that can be without an available pod of the daemon set during
	// the update. The value can be an absolute number (5) or a percentage of the eligible nodes (10%);
	// a percentage is rounded up. Nodes whose pod is unavailable for another reason count as well.
	// Must be 0 if maxSurge is not, and greater than 0 if maxSurge is 0. Defaults to 1.
	// Example: with 30%, at most 30% of the eligible nodes can have their pods stopped at the same time. The
	// update stops the old pods of these nodes and then creates the new ones; once they are available, it
	// proceeds to other nodes, so that at least 70% have an available pod at all times.
	// +kubebuilder:default=1
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// The maximum number of eligible nodes that can run a new pod beside the old one, which is still available,
	// during the update. The value can be an absolute number (5) or a percentage of the eligible nodes
	// (10%); a percentage is rounded up. Must be 0 if maxUnavailable is not. Defaults to 0. The old pod
	// is deleted once the new one is available (see minReadySeconds). Two pods of one node need room for both,
	// and cannot use the same host port.
	// Example: with 30%, the update creates a new pod on at most 30% of the eligible nodes at a time, and
	// deletes a node's old pod once its new pod is available.
	// +kubebuilder:default=0
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// DaemonSetStatus represents the current status of a daemon set. All numbers of nodes refer to nodes,
// not pods: a node counts once, also while it runs two pods of the daemon set.
type DaemonSetStatus struct {
	// The number of eligible nodes that have at least one pod of the daemon set.
	CurrentNumberScheduled int32 `json:"currentNumberScheduled"`
	// The number of nodes that run a pod of the daemon set, but are not eligible.
	NumberMisscheduled int32 `json:"numberMisscheduled"`
	// The number of eligible nodes: those that should run a pod of the daemon set.
	DesiredNumberScheduled int32 `json:"desiredNumberScheduled"`
	// The number of eligible nodes that have a pod of the daemon set whose condition Ready is True.
	NumberReady int32 `json:"numberReady"`
	// The most recent generation of the daemon set that the controller observed. The other fields of the status
	// reflect the spec of this generation.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Unlike apps/v1's, the next three are written when they are 0, for print columns to show.

	// The number of eligible nodes that have a pod of the current template.
	// +optional
	UpdatedNumberScheduled int32 `json:"updatedNumberScheduled"`
	// The number of eligible nodes that have an available pod of the daemon set: one that has been ready for
	// at least spec.minReadySeconds.
	// +optional
	NumberAvailable int32 `json:"numberAvailable"`
	// The number of eligible nodes that have no available pod of the daemon set.
	// +optional
	NumberUnavailable int32 `json:"numberUnavailable"`
	// The number of hash collisions of revision names. The controller uses this field as a collision
	// avoidance mechanism when it names a ControllerRevision.
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// The state of the rollout, while spec.rollout is set or the daemon set is paused by annotation.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	// The latest observations of the daemon set's state: Available, Progressing and Degraded; PlacementAdmission where
	// admission pins pods to nodes; DisruptionBudget while it is False; Reconciling and Stalled while
	// they are True.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DaemonSetList is a list of DaemonSets.
//
// +kubebuilder:object:root=true
type DaemonSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DaemonSet `json:"items"`
}
