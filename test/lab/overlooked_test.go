package lab

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kwok is waited for while a pod terminates or starts, and not for what others keep.
func TestDueAt(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	tests := map[string]struct {
		change func(*corev1.Pod)
		waits  bool
	}{
		"it runs":                {func(*corev1.Pod) {}, false},
		"it was bound":           {func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.StartTime = corev1.PodPending, nil }, true},
		"its image is missing":   {func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodPending }, false},
		"it terminates":          {func(pod *corev1.Pod) { pod.DeletionTimestamp = &at }, true},
		"a finalizer keeps it":   {func(pod *corev1.Pod) { pod.DeletionTimestamp, pod.Finalizers = &at, []string{"example.com/kept"} }, false},
		"it terminates, unbound": {func(pod *corev1.Pod) { pod.DeletionTimestamp, pod.Spec.NodeName = &at, "" }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{
				Phase: corev1.PodRunning, StartTime: &at,
				Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at}},
			}}
			test.change(pod)
			if due, waits := dueAt(pod); waits != test.waits || waits && !due.Equal(at.Time) {
				t.Errorf("due at %v, %v, want %v, %v", due, waits, at.Time, test.waits)
			}
		})
	}
}
