package v1alpha1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// AppsDaemonSetKind is the native kind, which Everynode may serve in place of
// kube-controller-manager.
var AppsDaemonSetKind = appsv1.SchemeGroupVersion.WithKind("DaemonSet")

// FromApps returns a native DaemonSet with the fields of this API, under its own kind: Native distinguishes
// it from a DaemonSet of everynode.dev. It shares memory with native.
func FromApps(native *appsv1.DaemonSet) *DaemonSet {
	set := &DaemonSet{
		ObjectMeta: native.ObjectMeta,
		Spec: DaemonSetSpec{
			Selector: native.Spec.Selector,
			Template: native.Spec.Template,
			UpdateStrategy: DaemonSetUpdateStrategy{
				Type:          native.Spec.UpdateStrategy.Type,
				RollingUpdate: (*RollingUpdateDaemonSet)(native.Spec.UpdateStrategy.RollingUpdate),
			},
			MinReadySeconds:      native.Spec.MinReadySeconds,
			RevisionHistoryLimit: native.Spec.RevisionHistoryLimit,
		},
		Status: DaemonSetStatus{
			CurrentNumberScheduled: native.Status.CurrentNumberScheduled,
			NumberMisscheduled:     native.Status.NumberMisscheduled,
			DesiredNumberScheduled: native.Status.DesiredNumberScheduled,
			NumberReady:            native.Status.NumberReady,
			ObservedGeneration:     native.Status.ObservedGeneration,
			UpdatedNumberScheduled: native.Status.UpdatedNumberScheduled,
			NumberAvailable:        native.Status.NumberAvailable,
			NumberUnavailable:      native.Status.NumberUnavailable,
			CollisionCount:         native.Status.CollisionCount,
		},
	}
	set.SetGroupVersionKind(AppsDaemonSetKind)
	for _, condition := range native.Status.Conditions {
		set.Status.Conditions = append(set.Status.Conditions, metav1.Condition{
			Type: string(condition.Type), Status: metav1.ConditionStatus(condition.Status),
			LastTransitionTime: condition.LastTransitionTime, Reason: condition.Reason, Message: condition.Message,
		})
	}
	return set
}

// ToApps returns the native DaemonSet with the fields of d, with which it shares memory. A native
// condition has no observedGeneration.
func (d *DaemonSet) ToApps() *appsv1.DaemonSet {
	native := &appsv1.DaemonSet{
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
		Status: appsv1.DaemonSetStatus{
			CurrentNumberScheduled: d.Status.CurrentNumberScheduled,
			NumberMisscheduled:     d.Status.NumberMisscheduled,
			DesiredNumberScheduled: d.Status.DesiredNumberScheduled,
			NumberReady:            d.Status.NumberReady,
			ObservedGeneration:     d.Status.ObservedGeneration,
			UpdatedNumberScheduled: d.Status.UpdatedNumberScheduled,
			NumberAvailable:        d.Status.NumberAvailable,
			NumberUnavailable:      d.Status.NumberUnavailable,
			CollisionCount:         d.Status.CollisionCount,
		},
	}
	native.SetGroupVersionKind(AppsDaemonSetKind)
	for _, condition := range d.Status.Conditions {
		native.Status.Conditions = append(native.Status.Conditions, appsv1.DaemonSetCondition{
			Type: appsv1.DaemonSetConditionType(condition.Type), Status: corev1.ConditionStatus(condition.Status),
			LastTransitionTime: condition.LastTransitionTime, Reason: condition.Reason, Message: condition.Message,
		})
	}
	return native
}

// Native reports whether d represents a DaemonSet of apps/v1.
func (d *DaemonSet) Native() bool { return d.GroupVersionKind() == AppsDaemonSetKind }

// GVK is the kind of the object that d represents.
func (d *DaemonSet) GVK() schema.GroupVersionKind {
	if d.Native() {
		return AppsDaemonSetKind
	}
	return DaemonSetKind
}
