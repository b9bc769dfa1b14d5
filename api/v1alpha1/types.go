package v1alpha1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// DaemonSet runs one copy of a pod on every eligible node.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=daemonsets,singular=daemonset,shortName=nds,categories=all
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredNumberScheduled`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.currentNumberScheduled`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.numberReady`
// +kubebuilder:printcolumn:name="Up-To-Date",type=integer,JSONPath=`.status.updatedNumberScheduled`
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=`.status.numberAvailable`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DaemonSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec DaemonSetSpec `json:"spec"`
	// +optional
	Status DaemonSetStatus `json:"status,omitempty"`
}

// DaemonSetSpec has the fields of apps/v1's DaemonSetSpec, with the same meaning. The rules are
// those of k8s.io/kubernetes pkg/apis/apps/validation ValidateDaemonSetSpec, and name its fields; what
// that function says of the pod template's own fields is the validating webhook's to say. A null is an
// absent field, also in the selector; a null label is an empty one, as it is to core's decoder.
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
type DaemonSetSpec struct {
	// Selector picks the pods of the daemon; it must match the template's labels and cannot change.
	// +required
	Selector *metav1.LabelSelector `json:"selector"`
	// Template is the pod that runs on every eligible node.
	// +required
	Template corev1.PodTemplateSpec `json:"template"`
	// UpdateStrategy says how a new template replaces old pods.
	// +kubebuilder:default={}
	// +optional
	UpdateStrategy DaemonSetUpdateStrategy `json:"updateStrategy,omitempty"`
	// MinReadySeconds is how long, in seconds, a new pod must be ready before it counts as available.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// RevisionHistoryLimit is how many old revisions are kept for rollback.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
}

// DaemonSetUpdateStrategy is apps/v1's: RollingUpdate or OnDelete.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || [self.rollingUpdate.maxUnavailable].all(v, type(v) == int ? v >= 0 : string(v).matches('^0*([0-9]{1,2}|100)%$'))",fieldPath=".rollingUpdate.maxUnavailable",message="maxUnavailable must be a number of nodes, 0 or more, or a percentage from 0% to 100%"
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || [self.rollingUpdate.maxSurge].all(v, type(v) == int ? v >= 0 : string(v).matches('^0*([0-9]{1,2}|100)%$'))",fieldPath=".rollingUpdate.maxSurge",message="maxSurge must be a number of nodes, 0 or more, or a percentage from 0% to 100%"
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || string(self.rollingUpdate.maxUnavailable).matches('^0+%?$') || string(self.rollingUpdate.maxSurge).matches('^0+%?$')",fieldPath=".rollingUpdate.maxSurge",message="maxSurge may not be set when maxUnavailable is non-zero: set maxUnavailable to 0 (its default is 1)"
// +kubebuilder:validation:XValidation:rule="self.type != 'RollingUpdate' || !has(self.rollingUpdate) || !string(self.rollingUpdate.maxUnavailable).matches('^0+%?$') || !string(self.rollingUpdate.maxSurge).matches('^0+%?$')",fieldPath=".rollingUpdate.maxUnavailable",message="maxUnavailable cannot be 0 when maxSurge is 0: nothing could ever be replaced"
type DaemonSetUpdateStrategy struct {
	// +kubebuilder:default=RollingUpdate
	// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
	// +optional
	Type appsv1.DaemonSetUpdateStrategyType `json:"type,omitempty"`
	// RollingUpdate holds the limits of a rolling update; only with type RollingUpdate.
	// +optional
	RollingUpdate *RollingUpdateDaemonSet `json:"rollingUpdate,omitempty"`
}

// RollingUpdateDaemonSet has apps/v1's limits of a rolling update; just one of them is not zero.
type RollingUpdateDaemonSet struct {
	// MaxUnavailable is how many eligible nodes, or what percentage of them (rounded up), may be
	// without an available pod during the update.
	// +kubebuilder:default=1
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// MaxSurge is how many nodes, or what percentage of the eligible ones (rounded up), may run
	// a new pod beside the old one during the update.
	// +kubebuilder:default=0
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
}

// DaemonSetStatus has the fields of apps/v1's DaemonSetStatus; every number counts nodes.
type DaemonSetStatus struct {
	CurrentNumberScheduled int32 `json:"currentNumberScheduled"`
	NumberMisscheduled     int32 `json:"numberMisscheduled"`
	DesiredNumberScheduled int32 `json:"desiredNumberScheduled"`
	NumberReady            int32 `json:"numberReady"`
	ObservedGeneration     int64 `json:"observedGeneration,omitempty"`
	// Unlike apps/v1's, the next three are written when they are 0, for print columns to show.
	// +optional
	UpdatedNumberScheduled int32 `json:"updatedNumberScheduled"`
	// +optional
	NumberAvailable int32 `json:"numberAvailable"`
	// +optional
	NumberUnavailable int32  `json:"numberUnavailable"`
	CollisionCount    *int32 `json:"collisionCount,omitempty"`
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
