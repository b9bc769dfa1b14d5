package daemon

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Status returns a daemon's status for its counters and conditions; other fields (collisionCount, conditions of
// others) are copied from the stored one. A condition whose status changed has its transition now.
func Status(w *Workload, counters Counters, now time.Time, conditions ...metav1.Condition) v1alpha1.DaemonSetStatus {
	status := statusWith(w, now, conditions)
	status.DesiredNumberScheduled = int32(counters.Desired)
	status.CurrentNumberScheduled = int32(counters.Current)
	status.NumberMisscheduled = int32(counters.Misscheduled)
	status.NumberReady = int32(counters.Ready)
	status.NumberAvailable = int32(counters.Available)
	status.NumberUnavailable = int32(counters.Desired - counters.Available)
	status.UpdatedNumberScheduled = int32(counters.Updated)
	return status
}

// UnservedStatus returns the status of a daemon that is not served because of a problem. The numbers stay those of
// the last served state.
func UnservedStatus(w *Workload, problem Problem, now time.Time) v1alpha1.DaemonSetStatus {
	status := statusWith(w, now, unserved(problem))
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
	return status
}

// statusWith returns a copy of a daemon's stored status with the present generation and conditions.
func statusWith(w *Workload, now time.Time, conditions []metav1.Condition) v1alpha1.DaemonSetStatus {
	status := *w.Status.DeepCopy()
	status.ObservedGeneration = w.Generation
	for _, condition := range conditions {
		condition.LastTransitionTime = metav1.NewTime(now)
		if w.Kind.observesGeneration() {
			condition.ObservedGeneration = w.Generation
		}
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	return status
}
