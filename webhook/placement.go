package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// PlacementPath is the URL path of the placement webhook.
const PlacementPath = "/mutate-pods"

var podResource = metav1.GroupVersionResource{Version: "v1", Resource: "pods"}

// placement answers admission requests for pods.
type placement struct{}

// Handle rewrites a pod that is being created. A pod that contradicts itself is denied with what
// to do about it; a request that a wrong configuration sent here is allowed as it is, for
// nothing but pods that ask for placement may notice this webhook (S7).
func (placement) Handle(_ context.Context, request admission.Request) admission.Response {
	if request.Operation != admissionv1.Create || request.Resource != podResource || request.SubResource != "" {
		return admission.Allowed("").WithWarnings(fmt.Sprintf(
			"everynode: the placement webhook serves CREATE of pods; take %s of %s out of its configuration", request.Operation, request.Resource.Resource))
	}
	patch, err := place(request.Object.Raw)
	var contradiction *daemon.ContradictoryPinError
	switch {
	case errors.As(err, &contradiction):
		return admission.Denied(contradiction.Error())
	case err != nil:
		return admission.Errored(http.StatusBadRequest, err)
	case len(patch) == 0:
		return admission.Allowed("")
	}
	return admission.Patched("", patch...)
}

// place is the JSON patch that places a pod, empty when there is nothing to do.
func place(raw []byte) ([]jsonpatch.Operation, error) {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		return nil, fmt.Errorf("decoding the pod: %w", err)
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encoding the pod: %w", err)
	}
	changed, err := daemon.Rewrite(pod, v1alpha1.PlacedByWebhook)
	if err != nil || !changed {
		return nil, err
	}
	after, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encoding the pod: %w", err)
	}
	return jsonpatch.CreatePatch(before, after)
}
