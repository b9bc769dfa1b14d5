package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// withStatus is a daemon of everynode.dev with a stored status.
func withStatus(status v1alpha1.DaemonSetStatus, generation int64) *Workload {
	return FromEverynode(&v1alpha1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Generation: generation}, Status: status})
}

func TestStatus(t *testing.T) {
	collisions := int32(3)
	then := metav1.NewTime(t0)
	condition := func(kind string, status metav1.ConditionStatus, message string, generation int64) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: "R", Message: message, ObservedGeneration: generation, LastTransitionTime: then}
	}
	now := func(kind string, status metav1.ConditionStatus, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: "R", Message: message}
	}

	tests := map[string]struct {
		old        v1alpha1.DaemonSetStatus
		counters   Counters
		conditions []metav1.Condition
		want       v1alpha1.DaemonSetStatus
		wantMoved  []string // conditions whose transition time is new
	}{
		"nothing": {want: v1alpha1.DaemonSetStatus{ObservedGeneration: 7}},
		"each counter has its field": {
			counters: Counters{Desired: 10, Current: 9, Misscheduled: 2, Ready: 8, Available: 6, Updated: 5},
			want: v1alpha1.DaemonSetStatus{
				ObservedGeneration: 7, DesiredNumberScheduled: 10, CurrentNumberScheduled: 9, NumberMisscheduled: 2,
				NumberReady: 8, NumberAvailable: 6, NumberUnavailable: 4, UpdatedNumberScheduled: 5,
			},
		},
		"old numbers do not stay": {
			old: v1alpha1.DaemonSetStatus{
				ObservedGeneration: 6, DesiredNumberScheduled: 1, CurrentNumberScheduled: 1, NumberMisscheduled: 1,
				NumberReady: 1, NumberAvailable: 1, NumberUnavailable: 1, UpdatedNumberScheduled: 1,
			},
			want: v1alpha1.DaemonSetStatus{ObservedGeneration: 7},
		},
		"collisionCount and foreign conditions stay": {
			old:        v1alpha1.DaemonSetStatus{CollisionCount: &collisions, Conditions: []metav1.Condition{condition("Foreign", metav1.ConditionTrue, "x", 2)}},
			conditions: []metav1.Condition{now("Ours", metav1.ConditionTrue, "m")},
			want: v1alpha1.DaemonSetStatus{ObservedGeneration: 7, CollisionCount: &collisions, Conditions: []metav1.Condition{
				condition("Foreign", metav1.ConditionTrue, "x", 2), condition("Ours", metav1.ConditionTrue, "m", 7),
			}},
			wantMoved: []string{"Ours"},
		},
		"an unchanged condition keeps its time and follows the generation": {
			old:        v1alpha1.DaemonSetStatus{Conditions: []metav1.Condition{condition("Ours", metav1.ConditionTrue, "m", 6)}},
			conditions: []metav1.Condition{now("Ours", metav1.ConditionTrue, "m")},
			want:       v1alpha1.DaemonSetStatus{ObservedGeneration: 7, Conditions: []metav1.Condition{condition("Ours", metav1.ConditionTrue, "m", 7)}},
		},
		"a new message is no transition": {
			old:        v1alpha1.DaemonSetStatus{Conditions: []metav1.Condition{condition("Ours", metav1.ConditionFalse, "m", 7)}},
			conditions: []metav1.Condition{now("Ours", metav1.ConditionFalse, "other")},
			want:       v1alpha1.DaemonSetStatus{ObservedGeneration: 7, Conditions: []metav1.Condition{condition("Ours", metav1.ConditionFalse, "other", 7)}},
		},
		"a new status is one": {
			old:        v1alpha1.DaemonSetStatus{Conditions: []metav1.Condition{condition("Ours", metav1.ConditionFalse, "m", 7)}},
			conditions: []metav1.Condition{now("Ours", metav1.ConditionTrue, "m")},
			want:       v1alpha1.DaemonSetStatus{ObservedGeneration: 7, Conditions: []metav1.Condition{condition("Ours", metav1.ConditionTrue, "m", 7)}},
			wantMoved:  []string{"Ours"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, given := test.old.DeepCopy(), append([]metav1.Condition(nil), test.conditions...)
			got := Status(withStatus(test.old, 7), &Health{Counters: test.counters}, t0.Add(time.Hour), test.conditions...)

			var moved []string
			for i := range got.Conditions {
				if at := got.Conditions[i].LastTransitionTime.Time; !at.Equal(t0) {
					if !at.Equal(t0.Add(time.Hour)) {
						t.Errorf("transition of %s at %v, want now", got.Conditions[i].Type, at)
					}
					moved = append(moved, got.Conditions[i].Type)
					got.Conditions[i].LastTransitionTime = then
				}
			}
			if diff := cmp.Diff(test.wantMoved, moved); diff != "" {
				t.Errorf("conditions with a new transition time (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("status (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, &test.old); diff != "" {
				t.Errorf("the old status changed:\n%s", diff)
			}
			if diff := cmp.Diff(given, test.conditions); diff != "" {
				t.Errorf("the caller's conditions changed:\n%s", diff)
			}
		})
	}
}

// Old is an informer's object: what is returned must share nothing with it.
func TestStatusSharesNothing(t *testing.T) {
	collisions := int32(3)
	old := &v1alpha1.DaemonSetStatus{CollisionCount: &collisions, Conditions: []metav1.Condition{{Type: "Foreign", Status: metav1.ConditionTrue}}}
	before := old.DeepCopy()
	got := Status(withStatus(*old, 1), &Health{}, t0)
	*got.CollisionCount, got.Conditions[0].Message = 9, "changed"
	if diff := cmp.Diff(before, old); diff != "" {
		t.Errorf("the old status changed:\n%s", diff)
	}
}

// A second look at the same numbers gives an equal status, or there would be a write indefinitely (L2).
func TestStatusSettles(t *testing.T) {
	condition := metav1.Condition{Type: "Ours", Status: metav1.ConditionTrue, Reason: "R"}
	first := Status(withStatus(v1alpha1.DaemonSetStatus{}, 1), &Health{Counters: Counters{Desired: 2}}, t0, condition)
	second := Status(withStatus(first, 1), &Health{Counters: Counters{Desired: 2}}, t0.Add(time.Hour), condition)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("second status (-first, +second):\n%s", diff)
	}
}
