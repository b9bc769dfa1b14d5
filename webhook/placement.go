package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
	"github.com/everynode/everynode/internal/daemon"
)

// PlacementPath is the URL path of the placement webhook.
const PlacementPath = "/mutate-pods"

var podResource = metav1.GroupVersionResource{Version: "v1", Resource: "pods"}

// placement answers admission requests for pods.
type placement struct{}

// answer rewrites a pod that is being created. A pod that contradicts itself is denied, with a message that
// describes the fix.
func (placement) answer(_ context.Context, asked *request) (*admissionv1.AdmissionResponse, outcome) {
	if asked.Operation != admissionv1.Create || asked.Resource != podResource || asked.SubResource != "" {
		return misdirected("placement webhook only serves CREATE of pods", asked), warned
	}
	patch, err := place(asked.Object)
	var (
		contradiction *daemon.ContradictoryPinError
		oversized     *daemon.OversizedAffinityError
	)
	switch {
	case errors.As(err, &contradiction), errors.As(err, &oversized):
		return refused(http.StatusForbidden, metav1.StatusReasonForbidden, err.Error()), denied
	case err != nil:
		return refused(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error()), malformed
	case len(patch) == 0:
		return allowed(), unchanged
	}
	encoded, err := json.Marshal(patch)
	if err != nil {
		return refused(http.StatusInternalServerError, metav1.StatusReasonInternalError, fmt.Sprintf("encoding the patch: %v", err)), malformed
	}
	response := allowed()
	response.Patch, response.PatchType = encoded, new(admissionv1.PatchTypeJSONPatch)
	return response, patched
}

// place returns the patch that places a pod, empty if the pod needs none.
func place(raw []byte) ([]operation, error) {
	var seen podView
	if err := decodePod(raw, &seen); err != nil {
		return nil, fmt.Errorf("decoding the pod: %w", err)
	}
	if seen.Spec.NodeName == "" {
		return nil, nil
	}
	pod := seen.pod()
	changed, err := daemon.Rewrite(pod, v1alpha1.PlacedByWebhook)
	if err != nil || !changed {
		return nil, err
	}
	return seen.patch(pod), nil
}

// largePod is the size from which a pod is checked before it is decoded. A smaller one decodes into little
// memory, and podView contains no quantities.
const largePod = 64 << 10

func decodePod(raw []byte, seen *podView) error {
	if len(raw) > largePod {
		return bounded.Unmarshal(raw, seen)
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(raw, seen)
}

// podView is the part of a pod that the rewrite reads or writes. A nil pointer is a field that is absent or
// null, so a patch has to add it as a whole.
type podView struct {
	Metadata *struct {
		Annotations     *struct{}               `json:"annotations"` // only whether there are any
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		NodeName        string                     `json:"nodeName"`
		SchedulerName   string                     `json:"schedulerName"`
		SchedulingGates []corev1.PodSchedulingGate `json:"schedulingGates"`
		Affinity        *struct {
			NodeAffinity *struct {
				Required *corev1.NodeSelector `json:"requiredDuringSchedulingIgnoredDuringExecution"`
			} `json:"nodeAffinity"`
		} `json:"affinity"`
	} `json:"spec"`
}

// required returns the required terms of the node affinity, or nil.
func (v *podView) required() *corev1.NodeSelector {
	if v.Spec.Affinity == nil || v.Spec.Affinity.NodeAffinity == nil {
		return nil
	}
	return v.Spec.Affinity.NodeAffinity.Required
}

// pod converts the view into a pod to rewrite; it shares nothing that the rewrite changes.
func (v *podView) pod() *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		NodeName: v.Spec.NodeName, SchedulerName: v.Spec.SchedulerName, SchedulingGates: slices.Clone(v.Spec.SchedulingGates),
	}}
	if v.Metadata != nil {
		pod.OwnerReferences = v.Metadata.OwnerReferences
	}
	if required := v.required(); required != nil {
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: slices.Clone(required.NodeSelectorTerms),
			},
		}}
	}
	return pod
}
