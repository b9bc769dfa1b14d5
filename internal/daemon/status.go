package daemon

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Status returns a daemon's status for its counters and conditions; other fields (collisionCount, conditions of
// others) are copied from old, which stays unchanged. A condition whose status changed has its transition now.
func Status(old *v1alpha1.DaemonSetStatus, counters Counters, generation int64, now time.Time, conditions ...metav1.Condition) v1alpha1.DaemonSetStatus {
	status := *old.DeepCopy()
	status.ObservedGeneration = generation
	status.DesiredNumberScheduled = int32(counters.Desired)
	status.CurrentNumberScheduled = int32(counters.Current)
	status.NumberMisscheduled = int32(counters.Misscheduled)
	status.NumberReady = int32(counters.Ready)
	status.NumberAvailable = int32(counters.Available)
	status.NumberUnavailable = int32(counters.Desired - counters.Available)
	status.UpdatedNumberScheduled = int32(counters.Updated)
	for _, condition := range conditions {
		condition.ObservedGeneration, condition.LastTransitionTime = generation, metav1.NewTime(now)
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	return status
}
