package daemon

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Status returns a daemon's status for its health and conditions; other fields (collisionCount, conditions of
// others) are copied from the stored one. A condition whose status changed has its transition now.
func Status(w *Workload, health *Health, now time.Time, conditions ...metav1.Condition) v1alpha1.DaemonSetStatus {
	status, counters := statusWith(w, now, conditions), &health.Counters
	status.Rollout = health.RolloutStatus()
	status.DesiredNumberScheduled = number(counters.Desired)
	status.CurrentNumberScheduled = number(counters.Current)
	status.NumberMisscheduled = number(counters.Misscheduled)
	status.NumberReady = number(counters.Ready)
	status.NumberAvailable = number(counters.Available)
	status.NumberUnavailable = number(counters.Desired - counters.Available)
	status.UpdatedNumberScheduled = number(counters.Updated)
	return status
}

func number(pods int) int32 { return int32(pods) } //nolint:gosec // G115: no cluster has two billion nodes

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
