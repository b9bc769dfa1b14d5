package v1alpha1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ToApps returns the DaemonSet of apps/v1 with the same fields. It shares memory with d.
func (d *DaemonSet) ToApps() *appsv1.DaemonSet {
	set := &appsv1.DaemonSet{
		ObjectMeta: d.ObjectMeta,
		Spec: appsv1.DaemonSetSpec{
			Selector: d.Spec.Selector,
			Template: d.Spec.Template,
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          d.Spec.UpdateStrategy.Type,
				RollingUpdate: (*appsv1.RollingUpdateDaemonSet)(d.Spec.UpdateStrategy.RollingUpdate),
			},
			MinReadySeconds:      d.Spec.MinReadySeconds,
			RevisionHistoryLimit: d.Spec.RevisionHistoryLimit,
		},
		Status: d.Status.ToApps(),
	}
	set.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	return set
}

// ToApps returns the status of apps/v1 with the same fields. Its conditions have no observedGeneration.
func (s *DaemonSetStatus) ToApps() appsv1.DaemonSetStatus {
	status := appsv1.DaemonSetStatus{
		CurrentNumberScheduled: s.CurrentNumberScheduled,
		NumberMisscheduled:     s.NumberMisscheduled,
		DesiredNumberScheduled: s.DesiredNumberScheduled,
		NumberReady:            s.NumberReady,
		ObservedGeneration:     s.ObservedGeneration,
		UpdatedNumberScheduled: s.UpdatedNumberScheduled,
		NumberAvailable:        s.NumberAvailable,
		NumberUnavailable:      s.NumberUnavailable,
		CollisionCount:         s.CollisionCount,
	}
	for _, condition := range s.Conditions {
		status.Conditions = append(status.Conditions, appsv1.DaemonSetCondition{
			Type: appsv1.DaemonSetConditionType(condition.Type), Status: corev1.ConditionStatus(condition.Status),
			LastTransitionTime: condition.LastTransitionTime, Reason: condition.Reason, Message: condition.Message,
		})
	}
	return status
}

// StatusFromApps returns the status of this API with the fields of one of apps/v1.
func StatusFromApps(s *appsv1.DaemonSetStatus) DaemonSetStatus {
	status := DaemonSetStatus{
		CurrentNumberScheduled: s.CurrentNumberScheduled,
		NumberMisscheduled:     s.NumberMisscheduled,
		DesiredNumberScheduled: s.DesiredNumberScheduled,
		NumberReady:            s.NumberReady,
		ObservedGeneration:     s.ObservedGeneration,
		UpdatedNumberScheduled: s.UpdatedNumberScheduled,
		NumberAvailable:        s.NumberAvailable,
		NumberUnavailable:      s.NumberUnavailable,
		CollisionCount:         s.CollisionCount,
	}
	for _, condition := range s.Conditions {
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: string(condition.Type), Status: metav1.ConditionStatus(condition.Status),
			LastTransitionTime: condition.LastTransitionTime, Reason: condition.Reason, Message: condition.Message,
		})
	}
	return status
}
