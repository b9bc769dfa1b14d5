package history

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/controller/fixture"
)

// Whatever labels the selector and the template require, for both kinds: no record is stored that would be released.
func TestRecordsWithOwnLabels(t *testing.T) {
	for name, test := range fixture.OwnLabels {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, test.Change...)
			s.set = s.set.DeepCopy()
			s.set.Spec.Selector = makeDaemon("d", test.Change...).Spec.Selector // set by a shelf
			s.set.Generation++
			s.state.SeeAlone(t, s.set)
			for range 10 {
				s.look(t)
				if !test.Recorded && strings.Contains(strings.Join(s.requests, ","), "patch") {
					t.Errorf("requests about records: %q", s.requests)
				}
			}
			if stored := len(s.stored(t)) > 0; stored != test.Recorded {
				t.Errorf("a record is stored: %v, want %v", stored, test.Recorded)
			}
		})
	}
}

// Records that the selector would not match, or that admission changes in that way, are not left behind.
func TestRecordsThatAreNotSelected(t *testing.T) {
	s := newShelf(t)
	s.set = s.set.DeepCopy()
	s.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d", appsv1.ControllerRevisionHashLabelKey: "mine"}}
	s.set.Spec.Template.Labels = s.set.Spec.Selector.MatchLabels
	s.set.Generation++
	s.state.SeeAlone(t, s.set)
	subject, _ := s.state.Subject(fixture.Key(s.set))
	for range 5 {
		if _, err := s.reconciler.Reconcile(t.Context(), fixture.Key(s.set)); err == nil || !strings.Contains(err.Error(), "recreate it") {
			t.Errorf("Reconcile: %v", err)
		}
	}
	if records := s.stored(t); len(records) > 0 || subject.Workload.Status.CollisionCount != nil {
		t.Errorf("%d records, collisions %v", len(records), subject.Workload.Status.CollisionCount)
	}
	if len(s.requests) > 0 {
		t.Errorf("requests %q", s.requests)
	}
}
