package cells

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
)

// Whatever labels the selector and the template require, for both kinds: no pod is created that would be released,
// and the DaemonSet reports why; pods that match are created.
func TestSelectorsOfOwnLabels(t *testing.T) {
	for name, test := range fixture.OwnLabels {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, test.Change...)
			s.reconciler.kinds = model.Kinds{Everynode: true, Apps: true}
			if fixture.Native(s.set) && test.Recorded { // its template is resolved by its record, see package history
				return
			}
			for range 720 {
				_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
				s.clock.Advance(5 * time.Second)
			}
			pods := s.Pods(t)
			if (len(pods) == 1) != test.Match || !test.Match && len(pods)+len(s.Requests) > 0 {
				t.Errorf("%d pods after %d requests; want one: %v", len(pods), len(s.Requests), test.Match)
			}
			_, health := s.state.Health(fixture.Key(s.set))
			if got := health.Problems["n1"]; (got.Reason == answers.ReasonUnselected) == test.Match {
				t.Errorf("the problem is %+v", got)
			}
			if events := s.Drain(); !test.Match && len(events) > 14 {
				t.Errorf("%d events in an hour, want those of one back-off", len(events))
			}
		})
	}
}

// Admission removes a label that the selector requires: the stored pod is deleted at once, no pod is left without an
// owner, and each node costs the requests of one back-off.
func TestAdmissionChangesLabels(t *testing.T) {
	s := newStage(t)
	s.Relabel = func(pod *corev1.Pod) { pod.UID = "uid-stored"; delete(pod.Labels, "app") }
	for range 720 {
		_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
		if pods := s.Pods(t); len(pods) > 0 {
			t.Fatalf("pod %s is left", pods[0].Name)
		}
		s.clock.Advance(5 * time.Second)
	}
	if made, deleted := len(s.Requests), len(s.Deletes); made < 9 || made > 14 || deleted != made {
		t.Errorf("%d pods were created and %d deleted in an hour, want the 9 to 14 of one back-off", made, deleted)
	}
	if _, health := s.state.Health(fixture.Key(s.set)); health.Problems["n1"].Reason != answers.ReasonUnselected {
		t.Errorf("the problem is %+v", health.Problems["n1"])
	}
	s.Relabel = nil
	s.clock.Advance(answers.RefusedBackOffMax)
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil || len(s.Pods(t)) != 1 {
		t.Errorf("%d pods, %v; want one once labels are kept", len(s.Pods(t)), err)
	}
}

// A controller removes a label from existing pods, ready or not: bound pods are released, as in apps/v1, and few are
// created; others are deleted, because they would not be scheduled.
func TestLabelsChangedByOthers(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod, time.Time){
		"of waiting pods": func(*corev1.Pod, time.Time) {},
		"of bound pods":   func(pod *corev1.Pod, _ time.Time) { bound("n1")(pod) },
		"of ready pods":   func(pod *corev1.Pod, now time.Time) { bound("n1")(pod); ready(now)(pod) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			made, released := 0, 0
			var last corev1.Pod
			for range 720 {
				for range 3 {
					_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
				}
				if len(s.Pods(t)) == 0 && last.Name != "" {
					s.state.ForgetPod(&last)
				}
				for _, pod := range s.Pods(t) {
					if !metav1.IsControlledBy(&pod, s.set) {
						released++
						s.state.SeePod(&pod)
						_ = s.Delete(t.Context(), &pod) // does not collide with names of this kind
						s.state.ForgetPod(&pod)
						continue
					}
					if pod.Labels["app"] != "d" {
						continue
					}
					made++
					change(&pod, s.clock.Time)
					s.state.SeePod(&pod) // it belonged to the daemon
					delete(pod.Labels, "app")
					if err := s.Update(t.Context(), &pod); err != nil {
						t.Fatal(err)
					}
					s.state.SeePod(&pod)
					last = pod
				}
				s.clock.Advance(5 * time.Second)
			}
			if made < 10 || made > 18 || released > made {
				t.Errorf("%d pods were created and %d released in an hour, want 10 to 18 created", made, released)
			}
			if wantReleased := name != "of waiting pods"; (released > 0) != wantReleased {
				t.Errorf("%d pods were released", released)
			}
		})
	}
}
