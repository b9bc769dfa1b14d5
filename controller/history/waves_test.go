package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// waveOf returns what is recorded of the open wave of an image, and of the verb that was obeyed.
func (s *shelf) waveOf(t *testing.T, image string) (wave, promoted string) {
	t.Helper()
	for _, object := range s.stored(t) {
		if object.Name == s.name(image) {
			return object.Annotations[v1alpha1.WaveAnnotation], object.Annotations[v1alpha1.PromotedAnnotation]
		}
	}
	return "", ""
}

// annotates sets an annotation of the daemon.
func (s *shelf) annotates(t *testing.T, key, value string) {
	t.Helper()
	s.set = s.set.DeepCopy()
	metav1.SetMetaDataAnnotation(&s.set.ObjectMeta, key, value)
	s.state.SeeAlone(t, s.set)
}

// replaced has the pod of a node replaced by one of the present template.
func (s *shelf) replaced(from, node string) {
	s.gone(from, node)
	s.runs(node)
}

// waving is a daemon on three nodes whose rollout to image:2 has updated the first one.
func waving(t *testing.T, waves ...v1alpha1.Wave) *shelf {
	t.Helper()
	s := newShelf(t, withRollout(v1alpha1.Rollout{Waves: waves}))
	for _, node := range []string{"n1", "n2", "n3"} {
		s.state.SeeNode(makeNode(node))
	}
	s.reconciles(t)
	s.runs("n1", "n2", "n3")
	s.change(t, "image:2")
	s.reconciles(t)
	s.replaced("image:1", "n1")
	s.reconciles(t)
	return s
}

var (
	one = intstr.FromInt32(1)
	two = intstr.FromInt32(2)
)

// A soak is recorded once, and history is due when it ends; a restart in between neither shortens it nor repeats the wave.
func TestSoakIsRecorded(t *testing.T) {
	s := waving(t, v1alpha1.Wave{Name: "one", Nodes: &one, Soak: "10m"}, v1alpha1.Wave{Name: "two", Nodes: &two, Approval: true})
	soaking := "0/one number=2 since=" + t0.UTC().Format(time.RFC3339)
	if wave, _ := s.waveOf(t, "image:2"); wave != soaking {
		t.Fatalf("recorded is %q, want %q", wave, soaking)
	}
	s.clock.Advance(4 * time.Minute)
	for range 2 {
		s.requests = nil
		result, err := s.reconciler.Reconcile(t.Context(), fixture.Key(s.set))
		if err != nil || result.RequeueAfter != 6*time.Minute || len(s.requests) > 0 {
			t.Errorf("history is due in %s with requests %q, error %v; want 6m and none", result.RequeueAfter, s.requests, err)
		}
		s.restart(t)
		for _, node := range []string{"n1", "n2", "n3"} {
			s.state.SeeNode(makeNode(node))
		}
		s.runs("n1")
		for _, node := range []string{"n2", "n3"} {
			former := s.set.DeepCopy()
			former.Spec.Template.Spec.Containers[0].Image = "image:1"
			s.state.SeePod(makePod(former, makeNode(node), bound(node), ready(t0)))
		}
	}
	if got := s.stableAndUpdate(t); got != "image:1 image:2 Soaking" {
		t.Errorf("rollout: %s", got)
	}
	s.clock.Advance(6 * time.Minute)
	s.reconciles(t)
	if wave, _ := s.waveOf(t, "image:2"); wave != "1/two number=2" {
		t.Errorf("after the soak %q is recorded", wave)
	}
	if got := s.stableAndUpdate(t); got != "image:1 image:2 Progressing" {
		t.Errorf("rollout: %s", got)
	}
}

// A pod that fails while the rollout is paused begins the soak again, as at any other time.
func TestFailureDuringAPause(t *testing.T) {
	s := waving(t, v1alpha1.Wave{Name: "one", Nodes: &one, Soak: "10m"})
	s.annotates(t, v1alpha1.PausedAnnotation, "true")
	s.reconciles(t)
	s.clock.Advance(4 * time.Minute)
	s.state.SeePod(makePod(s.set, makeNode("n1"), bound("n1")))
	s.clock.Advance(time.Minute)
	again := s.clock.Now()
	s.state.SeePod(makePod(s.set, makeNode("n1"), bound("n1"), ready(again)))
	s.annotates(t, v1alpha1.PausedAnnotation, "false")
	s.reconciles(t)
	want := "0/one number=2 since=" + again.UTC().Format(time.RFC3339)
	if wave, _ := s.waveOf(t, "image:2"); wave != want {
		t.Errorf("recorded is %q, want %q", wave, want)
	}
}

// A verb acts once: when it is set before its wave is complete, when the same manifest is applied again, and when the template
// comes back later.
func TestPromotionActsOnce(t *testing.T) {
	for name, all := range map[string]bool{"a wave": false, "all waves": true} {
		t.Run(name, func(t *testing.T) {
			s := waving(t, v1alpha1.Wave{Name: "one", Nodes: &one, Approval: true, Soak: "1h"}, v1alpha1.Wave{Name: "two", Nodes: &two, Approval: true})
			if got := s.stableAndUpdate(t); got != "image:1 image:2 Soaking" {
				t.Errorf("rollout: %s", got)
			}
			revision := strings.TrimPrefix(s.name("image:2"), "d-")
			verb := revision + "/one"
			if all {
				verb = revision
			}
			s.annotates(t, v1alpha1.PromoteAnnotation, "another/one")
			s.reconciles(t)
			if wave, _ := s.waveOf(t, "image:2"); !strings.HasPrefix(wave, "0/one") {
				t.Errorf("a verb on another revision ends the wave: %q", wave)
			}
			s.annotates(t, v1alpha1.PromoteAnnotation, verb)
			s.reconciles(t)
			wave, promoted := s.waveOf(t, "image:2")
			if !strings.HasPrefix(wave, "1/two") || promoted != verb {
				t.Errorf("recorded are wave %q and verb %q", wave, promoted)
			}
			s.replaced("image:1", "n2")
			for range 3 {
				s.annotates(t, v1alpha1.PromoteAnnotation, verb)
				s.reconciles(t)
			}
			wave, _ = s.waveOf(t, "image:2")
			if passed := strings.HasPrefix(wave, "2/"); passed != all {
				t.Errorf("with verb %s wave %q is recorded", verb, wave)
			}
			s.requests = nil
			for range 3 {
				s.annotates(t, v1alpha1.PromoteAnnotation, verb)
				s.look(t)
			}
			if len(s.requests) > 0 {
				t.Errorf("requests %q, want none", s.requests)
			}
			// Another template, and this one again: the waves begin at the first, and the verb was obeyed.
			s.change(t, "image:3")
			s.reconciles(t)
			s.change(t, "image:2")
			s.reconciles(t)
			if wave, _ = s.waveOf(t, "image:2"); strings.HasPrefix(wave, "1/") || strings.HasPrefix(wave, "2/") {
				t.Errorf("the template came back, and wave %q is recorded", wave)
			}
			if got := s.stableAndUpdate(t); got != "image:1 image:2 Soaking" {
				t.Errorf("rollout: %s", got)
			}
		})
	}
}

// A check that has failed holds the rollout, until it reports otherwise.
func TestCheckHolds(t *testing.T) {
	s := waving(t, v1alpha1.Wave{Name: "one", Nodes: &one, Checks: []string{"smoke"}})
	revision := strings.TrimPrefix(s.name("image:2"), "d-")
	for value, want := range map[string]string{
		revision + "/two/Passed": "wave one waits for check smoke",
		revision + "/one/Failed": "check smoke of wave one has failed",
	} {
		s.annotates(t, v1alpha1.CheckAnnotationPrefix+"smoke", value)
		s.reconciles(t)
		_, health := s.state.Health(fixture.Key(s.set))
		progressing := health.Conditions()[1]
		if progressing.Reason != v1alpha1.ReasonHeld || !strings.Contains(progressing.Message, want) {
			t.Errorf("%s: %s", progressing.Reason, progressing.Message)
		}
		if status := health.RolloutStatus(); status.Phase != v1alpha1.RolloutHeld || status.Wave == nil || status.Wave.Name != "one" || status.Wave.Available != 1 || status.Wave.Nodes != 1 {
			t.Errorf("status is %+v", status)
		}
	}
	s.annotates(t, v1alpha1.CheckAnnotationPrefix+"smoke", revision+"/one/Passed")
	s.reconciles(t)
	if wave, _ := s.waveOf(t, "image:2"); wave != "1/ number=2" {
		t.Errorf("recorded is %q", wave)
	}
}

// The record that a verb names is kept, whatever the limit, because what was obeyed is written there; and with spec.rollout all of it
// is removed.
func TestNotesAreKeptAndForgotten(t *testing.T) {
	s := newShelf(t, withRollout(v1alpha1.Rollout{Waves: []v1alpha1.Wave{{Name: "one", Nodes: &one, Approval: true}}}), limit(0))
	s.state.SeeNode(makeNode("n1"))
	s.reconciles(t)
	s.runs("n1")
	s.change(t, "image:2")
	s.annotates(t, v1alpha1.PromoteAnnotation, strings.TrimPrefix(s.name("image:2"), "d-"))
	s.reconciles(t)
	s.replaced("image:1", "n1")
	s.reconciles(t)
	s.change(t, "image:3")
	s.reconciles(t)
	s.gone("image:2", "n1")
	s.runs("n1")
	s.reconciles(t)
	if !slices.ContainsFunc(s.history(t), func(line string) bool { return strings.HasSuffix(line, "image:2") }) {
		t.Errorf("history %q has not what the verb names", s.history(t))
	}
	if _, promoted := s.waveOf(t, "image:2"); promoted == "" {
		t.Error("the verb that was obeyed is not recorded")
	}
	s.rollout(t, nil)
	s.reconciles(t)
	for _, object := range s.stored(t) {
		for _, name := range daemon.RecordAnnotations() {
			if value := object.Annotations[name]; value != "" {
				t.Errorf("ControllerRevision %s has %s: %s", object.Name, name, value)
			}
		}
	}
}
