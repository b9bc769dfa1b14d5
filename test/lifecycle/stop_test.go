package lifecycle

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The emergency stop holds a rollout, with the permissions of the chart's role, also after a restart. Its end continues it.
func stopHolds(h *held) {
	stop := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.StopName},
		Data:       map[string]string{v1alpha1.StopKey: "true", v1alpha1.StopReasonKey: "a test"},
	}
	h.Make(stop)
	h.change(setSecond)
	status := h.waitFor(v1alpha1.RolloutHeld, 0)
	if got := progressing(&status); got != "False "+v1alpha1.ReasonEmergencyStop {
		h.T.Errorf("Progressing is %s", got)
	}
	h.stays(nil)
	h.Must(h.Delete(h.T.Context(), stop))
	h.waitFor(v1alpha1.RolloutComplete, heldNodes)
}
