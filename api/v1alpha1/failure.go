package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// OnFailure is what happens when the update revision has failed.
type OnFailure string

// What happens when the update revision has failed.
const (
	// OnFailurePause: no further node is updated.
	OnFailurePause OnFailure = "Pause"
	// OnFailureRollback: every node returns to the stable revision, within the limits.
	OnFailureRollback OnFailure = "Rollback"
	// OnFailureContinue: the failure is reported.
	OnFailureContinue OnFailure = "Continue"
)

// RolloutFailure is what makes the update revision fail. Only nodes that have it are judged, from the time at which its pod was
// bound.
type RolloutFailure struct {
	// The revision has failed once this many nodes have failed with it, as an absolute number of at least 1 or a percentage of
	// the eligible nodes, which is rounded up. Defaults to 1 until maxUnavailable nodes have an available pod of the revision, and
	// to maxUnavailable from then on.
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : string(self).matches('^([1-9][0-9]?|100)%$')",message="maxFailedNodes must be a number of nodes, 1 or more, or a percentage from 1% to 100%"
	// +optional
	MaxFailedNodes *intstr.IntOrString `json:"maxFailedNodes,omitempty"`
	// A node has failed when a container restarted this many times within windowSeconds. 0 disables it. Defaults to 3.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=20
	// +optional
	Restarts *int32 `json:"restarts,omitempty"`
	// The window of restarts. Defaults to 600.
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	// +optional
	WindowSeconds *int32 `json:"windowSeconds,omitempty"`
	// A node has failed when it was Ready and becomes NotReady within this time. 0 disables it. Defaults to 600.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	// +optional
	NodeWindowSeconds *int32 `json:"nodeWindowSeconds,omitempty"`
}

// RolloutVerdict is why a revision has failed.
type RolloutVerdict struct {
	// The revision that has failed.
	// +optional
	Revision string `json:"revision,omitempty"`
	// ContainerRestarts, ContainerNotStarting, ImageMissing, NotAvailable, NodeNotReady or Aborted.
	// +optional
	Reason string `json:"reason,omitempty"`
	// What was observed.
	// +optional
	Message string `json:"message,omitempty"`
	// The first nodes, at most 10, on which it was observed.
	// +listType=atomic
	// +optional
	Nodes []string `json:"nodes,omitempty"`
	// When the verdict was recorded.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}
