package daemon

import (
	"crypto/sha256"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Revision identifies a pod template by its meaning: templates that are written differently and create the same
// pods have equal revisions. It is a valid label value.
func Revision(template *corev1.PodTemplateSpec) (string, error) {
	raw, err := encode(canonical(template))
	if err != nil {
		return "", fmt.Errorf("the pod template cannot be encoded: %w", err)
	}
	sum := sha256.Sum256(raw)
	return lowerBase32.EncodeToString(sum[:])[:10], nil
}

func revisionOf(pod *corev1.Pod) string { return pod.Labels[appsv1.ControllerRevisionHashLabelKey] }

func nodeUIDOf(pod *corev1.Pod) types.UID {
	uid := pod.Annotations[v1alpha1.NodeUIDAnnotation]
	return types.UID(uid[:min(len(uid), maxUID)])
}
