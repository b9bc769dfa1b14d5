package history

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// made returns the image of the pod that would be created on a node now; empty if none would be.
func (s *shelf) made(node string) string {
	task := s.state.Task(fixture.Key(s.set).On(node))
	for _, action := range task.Actions {
		if action.Op == daemon.Create {
			return daemon.NewPod(task.Template, task.Node, "p").Spec.Containers[0].Image
		}
	}
	return ""
}

// stores has the reconciler's work stored and shown.
func (s *shelf) stores(t *testing.T) {
	t.Helper()
	s.look(t)
	s.informed(t)
}

func (s *shelf) degraded(t *testing.T) string {
	t.Helper()
	object, health := s.state.Health(fixture.Key(s.set))
	if object == nil {
		return "nothing is reported"
	}
	for _, condition := range health.Conditions() {
		if condition.Type == v1alpha1.ConditionDegraded {
			return condition.Reason + ": " + condition.Message
		}
	}
	return ""
}

// While the API server refuses a template's record, pods are recreated from the old revision, also after a restart, and the status reports
// why; once it is stored, they are recreated from the new one.
func TestPodsKeepTheirTemplateUntilTheNextIsRecorded(t *testing.T) {
	for name, native := range map[string]bool{"own": false, "native": true} {
		t.Run(name, func(t *testing.T) {
			var change []func(*v1alpha1.DaemonSet)
			if native {
				change = append(change, nativeKind)
			}
			s := newShelf(t, change...)
			s.state.SeeNode(makeNode("n1"))
			s.state.SeeNode(makeNode("n2", labelled("disk", "ssd")))
			s.stores(t)
			if got := s.made("n1"); got != "image:1" {
				t.Fatalf("a pod of %q is created, want image:1", got)
			}

			s.refuse["create"] = errQuota()
			s.set.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
			s.change(t, "image:2")
			s.stores(t)
			for _, node := range []string{"n1", "n2"} { // the selector of the new template is not effective yet either
				if got := s.made(node); got != "image:1" {
					t.Errorf("on %s a pod of %q is created, want image:1", node, got)
				}
			}
			if got := s.degraded(t); !strings.HasPrefix(got, "RevisionNotRecorded: ") || !strings.Contains(got, "exceeded quota") || !strings.Contains(got, "pods keep revision") {
				t.Errorf("Degraded = %s", got)
			}
			if _, health := s.state.Health(fixture.Key(s.set)); health.Updated > 0 || health.Desired != 2 {
				t.Errorf("counters %+v, want two nodes and none updated", health.Counters)
			}

			s.restart(t)
			s.state.SeeNode(makeNode("n1"))
			if got := s.made("n1"); got != "image:1" {
				t.Errorf("after a restart a pod of %q is created, want image:1", got)
			}

			delete(s.refuse, "create")
			s.stores(t)
			s.state.SeeNode(makeNode("n2", labelled("disk", "ssd")))
			if got := s.made("n1") + s.made("n2"); got != "image:2" {
				t.Errorf("pods of %q are created, want image:2 only on n2", got)
			}
			if got := s.degraded(t); strings.HasPrefix(got, "RevisionNotRecorded") {
				t.Errorf("Degraded = %s", got)
			}
		})
	}
}

// A daemon gets no pods while its first template cannot be recorded, and reports it.
func TestNewDaemonWaitsForItsRecord(t *testing.T) {
	s := newShelf(t)
	s.state.SeeNode(makeNode("n1"))
	s.refuse["create"] = errQuota()
	s.stores(t)
	if got := s.made("n1"); got != "" {
		t.Errorf("a pod of %q is created, want none", got)
	}
	if got := s.degraded(t); !strings.HasPrefix(got, "RevisionNotRecorded: ") || !strings.Contains(got, "no pods are created") {
		t.Errorf("Degraded = %s", got)
	}
	if _, health := s.state.Health(fixture.Key(s.set)); health.Desired != 1 {
		t.Errorf("%d nodes should run a pod, want 1", health.Desired)
	}
}

// A template that is replaced at once has a record nevertheless if it had pods; and a deleted record is
// stored again before it is replaced.
func TestReplacedTemplateIsRecordedFirst(t *testing.T) {
	s := newShelf(t)
	s.state.SeeNode(makeNode("n1"))
	s.stores(t)
	for _, object := range s.stored(t) {
		if err := s.Delete(t.Context(), &object, client.Preconditions{UID: &object.UID}); err != nil {
			t.Fatal(err)
		}
	}
	s.informed(t)
	former := "create " + s.name("image:1")
	s.refuse[former] = errQuota()
	s.look(t)
	s.change(t, "image:2")
	s.stores(t)
	s.stores(t)
	if got := s.made("n1"); got != "image:1" {
		t.Errorf("a pod of %q is created, want image:1 while that cannot be recorded", got)
	}
	delete(s.refuse, former)
	s.stores(t)
	s.stores(t)
	wantStrings(t, "images, oldest first", []string{"image:1", "image:2"}, images(s.history(t)))
	if got := s.made("n1"); got != "image:2" {
		t.Errorf("a pod of %q is created, want image:2", got)
	}
}

// A template that is replaced needs one record, whatever revision that gives it: clients of the API may create records too, and delete ours
// (Kubernetes' conformance case "ControllerRevision should manage the lifecycle of a ControllerRevision").
func TestReplacedTemplateHasAnotherRecord(t *testing.T) {
	s := newShelf(t)
	s.state.SeeNode(makeNode("n1"))
	s.stores(t)
	s.state.SeePod(makePod(s.set, makeNode("n1"), bound("n1"), func(pod *corev1.Pod) {
		pod.Labels["controller-revision-hash"] = fixture.Template(s.set, "image:1").Revision
	}))
	ours := s.stored(t)
	s.put(t, "image:1", 2, func(object *appsv1.ControllerRevision) {
		object.Name, object.Labels["controller-revision-hash"] = "d-theirs", "theirs"
	})
	for i := range ours {
		if err := s.Delete(t.Context(), &ours[i], client.Preconditions{UID: &ours[i].UID}); err != nil {
			t.Fatal(err)
		}
	}
	s.informed(t)
	s.change(t, "image:2")
	s.stores(t)
	s.stores(t)
	wantStrings(t, "history", []string{"2 image:1", "3 image:2"}, s.history(t))
}

// A template that changes again before it was recorded never becomes a target, and leaves no record.
func TestTemplateThatChangesAtOnceIsSkipped(t *testing.T) {
	s := newShelf(t)
	s.state.SeeNode(makeNode("n1"))
	s.stores(t)
	s.state.SeePod(makePod(s.set, makeNode("n1"), bound("n1"), func(pod *corev1.Pod) {
		pod.Labels["controller-revision-hash"] = fixture.Template(s.set, "image:1").Revision
	}))
	s.change(t, "image:2")
	s.change(t, "image:3")
	s.stores(t)
	wantStrings(t, "history", []string{"1 image:1", "2 image:3"}, s.history(t))
}

// The record of a target is kept, whatever the limit, even if no pod has it, and while there are no nodes.
func TestRecordOfATargetIsKept(t *testing.T) {
	for name, nodes := range map[string][]string{"a node": {"n1"}, "no node": nil} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, limit(0))
			for _, node := range nodes {
				s.state.SeeNode(makeNode(node))
			}
			s.stores(t)
			s.refuse["create"] = errQuota()
			s.change(t, "image:2")
			s.stores(t)
			wantStrings(t, "history", []string{"1 image:1"}, s.history(t))
			delete(s.refuse, "create")
			s.stores(t)
			s.stores(t)
			wantStrings(t, "history", []string{"2 image:2"}, s.history(t))
		})
	}
}

// images returns a history without its numbers.
func images(history []string) (images []string) {
	for _, line := range history {
		_, image, _ := strings.Cut(line, " ")
		images = append(images, image)
	}
	return images
}

// restart begins with the stored state, as another process would.
func (s *shelf) restart(t *testing.T) {
	t.Helper()
	s.state = statetest.Starting(s.reconciler.kinds, s.queues, s.clock)
	s.reconciler.state = s.state.State
	s.shown = nil
	s.state.SeeAlone(t, s.set)
	s.informed(t)
	s.state.Update(model.Update.Begin)
}
