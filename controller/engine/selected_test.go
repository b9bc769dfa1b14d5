package engine

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
)

// asksFor has the selector ask for a label, and the template have it.
func asksFor(key, value string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d", key: value}}
		set.Spec.Template.Labels = map[string]string{"app": "d", key: value}
	}
}

func expects(key string, operator metav1.LabelSelectorOperator, values ...string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}
	}
}

// has has the template have a label.
func has(key, value string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Labels[key] = value }
}

func ofGeneration(value string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, appsv1.DeprecatedTemplateGeneration, value)
	}
}

// Whatever labels selector and template ask for, in both kinds: nothing is made that would be released, and the DaemonSet says
// why; where what is made does match, it is made.
func TestSelectorsOfLabelsThatAreOurs(t *testing.T) {
	hash, generation := appsv1.ControllerRevisionHashLabelKey, extensionsv1beta1.DaemonSetTemplateGenerationKey
	tests := map[string]struct {
		change []func(*v1alpha1.DaemonSet)
		made   int
	}{
		"a hash of the user's":                {change: []func(*v1alpha1.DaemonSet){asksFor(hash, "mine")}},
		"no hash":                             {change: []func(*v1alpha1.DaemonSet){expects(hash, metav1.LabelSelectorOpDoesNotExist)}},
		"any hash":                            {change: []func(*v1alpha1.DaemonSet){has(hash, "mine"), expects(hash, metav1.LabelSelectorOpExists)}, made: 1},
		"another hash":                        {change: []func(*v1alpha1.DaemonSet){expects(hash, metav1.LabelSelectorOpNotIn, "mine")}, made: 1},
		"native, a hash of the user's":        {change: []func(*v1alpha1.DaemonSet){nativeKind, asksFor(hash, "mine")}},
		"native, no hash":                     {change: []func(*v1alpha1.DaemonSet){nativeKind, expects(hash, metav1.LabelSelectorOpDoesNotExist)}},
		"a generation of the user's":          {change: []func(*v1alpha1.DaemonSet){asksFor(generation, "7")}, made: 1}, // no label of this kind's
		"native, its first generation":        {change: []func(*v1alpha1.DaemonSet){nativeKind, asksFor(generation, "1"), ofGeneration("1")}, made: -1},
		"native, a later generation":          {change: []func(*v1alpha1.DaemonSet){nativeKind, asksFor(generation, "1"), ofGeneration("2")}},
		"native, a selector of no generation": {change: []func(*v1alpha1.DaemonSet){nativeKind, expects(generation, metav1.LabelSelectorOpDoesNotExist), ofGeneration("1")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			history := newShelf(t, test.change...)
			history.set.Spec.Selector = makeDaemon("d", test.change...).Spec.Selector // which a shelf sets
			history.set.Generation++
			seeAlone(t, history.world, history.set)
			for range 10 {
				history.look(t)
			}
			if test.made == 0 && strings.Contains(strings.Join(history.requests, ","), "patch") {
				t.Errorf("requests about records: %q", history.requests)
			}
			records := len(history.stored(t))

			s := newStage(t, test.change...)
			s.actor.kinds = model.Kinds{Everynode: true, Apps: true}
			if s.set.Native() && records > 0 { // its template is settled by its record, as it is elsewhere in these tests
				return
			}
			for range 720 {
				_, _ = s.actor.Reconcile(t.Context(), stageKey)
				s.clock.Advance(5 * time.Second)
			}
			pods := s.Pods(t)
			if len(pods) != test.made || test.made == 0 && len(s.Requests) > 0 {
				t.Errorf("%d pods after %d requests, want %d", len(pods), len(s.Requests), test.made)
			}
			_, health := s.world.health(model.KeyOf(s.set))
			if got := health.Problems["n1"]; (got.Reason == answers.ReasonUnselected) != (test.made == 0) {
				t.Errorf("the problem is %+v", got)
			}
			if events := s.Drain(); test.made == 0 && len(events) > 14 {
				t.Errorf("%d events in an hour, want those of one back-off", len(events))
			}
		})
	}
}

// Somebody's admission takes away a label that the selector asks for: what is stored is deleted at once, no pod is left without
// an owner, and each node costs the requests of one back-off.
func TestAdmissionChangesLabels(t *testing.T) {
	s := newStage(t)
	s.Relabel = func(pod *corev1.Pod) { pod.UID = "uid-stored"; delete(pod.Labels, "app") }
	for range 720 {
		_, _ = s.actor.Reconcile(t.Context(), stageKey)
		if pods := s.Pods(t); len(pods) > 0 {
			t.Fatalf("pod %s is left", pods[0].Name)
		}
		s.clock.Advance(5 * time.Second)
	}
	if made, deleted := len(s.Requests), len(s.Deletes); made < 9 || made > 14 || deleted != made {
		t.Errorf("%d pods were made and %d deleted in an hour, want the 9 to 14 of one back-off", made, deleted)
	}
	if _, health := s.world.health(model.KeyOf(s.set)); health.Problems["n1"].Reason != answers.ReasonUnselected {
		t.Errorf("the problem is %+v", health.Problems["n1"])
	}
	s.Relabel = nil
	s.clock.Advance(answers.RefusedBackOffMax)
	if _, err := s.actor.Reconcile(t.Context(), stageKey); err != nil || len(s.Pods(t)) != 1 {
		t.Errorf("%d pods, %v; want one once labels stay", len(s.Pods(t)), err)
	}
}

// A controller takes away a label once pods are there, ready or not: pods that are bound are released, as in apps/v1, and few are
// made; those that are not are deleted, for nothing would schedule them.
func TestSomebodyChangesLabels(t *testing.T) {
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
					_, _ = s.actor.Reconcile(t.Context(), stageKey)
				}
				if len(s.Pods(t)) == 0 && last.Name != "" {
					s.world.podGone(&last)
				}
				for _, pod := range s.Pods(t) {
					if !metav1.IsControlledBy(&pod, s.set) {
						released++
						s.world.podSeen(&pod)
						_ = s.Delete(t.Context(), &pod) // out of the way of the names of this kind
						s.world.podGone(&pod)
						continue
					}
					if pod.Labels["app"] != "d" {
						continue
					}
					made++
					change(&pod, s.clock.Time)
					s.world.podSeen(&pod) // it was of the daemon once
					delete(pod.Labels, "app")
					if err := s.Update(t.Context(), &pod); err != nil {
						t.Fatal(err)
					}
					s.world.podSeen(&pod)
					last = pod
				}
				s.clock.Advance(5 * time.Second)
			}
			if made < 10 || made > 18 || released > made {
				t.Errorf("%d pods were made and %d released in an hour, want 10 to 18 made", made, released)
			}
			if wantReleased := name != "of waiting pods"; (released > 0) != wantReleased {
				t.Errorf("%d pods were released", released)
			}
		})
	}
}

// Records that the selector would not match, or that admission changes so, leave nothing behind.
func TestRecordsThatAreNotSelected(t *testing.T) {
	s := newShelf(t)
	s.set = s.set.DeepCopy()
	s.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d", appsv1.ControllerRevisionHashLabelKey: "mine"}}
	s.set.Spec.Template.Labels = s.set.Spec.Selector.MatchLabels
	s.set.Generation++
	seeAlone(t, s.world, s.set)
	subject, _ := s.world.subject(model.KeyOf(s.set))
	for range 5 {
		if _, err := s.historian.Reconcile(t.Context(), model.KeyOf(s.set)); err == nil || !strings.Contains(err.Error(), "recreate it") {
			t.Errorf("Reconcile: %v", err)
		}
	}
	if records := s.stored(t); len(records) > 0 || subject.Object.Status.CollisionCount != nil {
		t.Errorf("%d records, collisions %v", len(records), subject.Object.Status.CollisionCount)
	}
	if len(s.requests) > 0 {
		t.Errorf("requests %q", s.requests)
	}
}
