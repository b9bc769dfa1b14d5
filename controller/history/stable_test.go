package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// rollout changes the daemon's spec.rollout.
func (s *shelf) rollout(t *testing.T, to *v1alpha1.Rollout) {
	t.Helper()
	s.set = s.set.DeepCopy()
	s.set.Generation++
	s.set.Spec.Rollout = to
	s.state.SeeAlone(t, s.set)
}

// runs has available pods of the present template on nodes.
func (s *shelf) runs(nodes ...string) {
	for _, name := range nodes {
		s.state.SeePod(makePod(s.set, makeNode(name), bound(name), ready(t0)))
	}
}

// gone has the pods of an image vanish.
func (s *shelf) gone(image string, nodes ...string) {
	for _, name := range nodes {
		former := s.set.DeepCopy()
		former.Spec.Template.Spec.Containers[0].Image = image
		s.state.ForgetPod(makePod(former, makeNode(name), bound(name), ready(t0)))
	}
}

// marks returns what is recorded as stable: images with their numbers, sorted.
func (s *shelf) marks(t *testing.T) (marks []string) {
	t.Helper()
	for _, object := range s.stored(t) {
		if number := object.Annotations[v1alpha1.StableAnnotation]; number != "" {
			image := string(object.Data.Raw)
			_, image, _ = strings.Cut(image, `"image":"`)
			image, _, _ = strings.Cut(image, `"`)
			marks = append(marks, fmt.Sprintf("%s %s", image, number))
		}
	}
	slices.Sort(marks)
	return marks
}

// reconciles lets history do all that it wants.
func (s *shelf) reconciles(t *testing.T) {
	t.Helper()
	for range 3 {
		s.stores(t)
	}
}

func (s *shelf) stableAndUpdate(t *testing.T) string {
	t.Helper()
	_, health := s.state.Health(fixture.Key(s.set))
	status := health.RolloutStatus()
	if status == nil {
		return "no rollout"
	}
	name := func(revision string) string {
		for _, image := range []string{"image:1", "image:2", "image:3"} {
			if fixture.Template(s.set, image).Revision == revision {
				return image
			}
		}
		return revision
	}
	return fmt.Sprintf("%s %s %s", name(status.CurrentRevision), name(status.UpdateRevision), status.Phase)
}

func withRollout(spec v1alpha1.Rollout) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Rollout = &spec
		set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{}
	}
}

// The first revision is stable from the beginning; the next one once every node has an available pod of it and nothing is held
// back. Each is one write, and no more are made.
func TestStableIsRecorded(t *testing.T) {
	s := newShelf(t, withRollout(v1alpha1.Rollout{}))
	for _, name := range []string{"n1", "n2"} {
		s.state.SeeNode(makeNode(name))
	}
	s.reconciles(t)
	wantStrings(t, "stable", []string{"image:1 1"}, s.marks(t))
	s.runs("n1", "n2")
	if got := s.stableAndUpdate(t); got != "image:1 image:1 Complete" {
		t.Errorf("rollout: %s", got)
	}

	s.change(t, "image:2")
	s.reconciles(t)
	s.gone("image:1", "n1")
	s.runs("n1")
	s.reconciles(t)
	wantStrings(t, "stable in mid-rollout", []string{"image:1 1"}, s.marks(t))
	if got := s.stableAndUpdate(t); got != "image:1 image:2 Progressing" {
		t.Errorf("rollout: %s", got)
	}
	s.gone("image:1", "n2")
	s.runs("n2")
	s.look(t)
	if want := []string{"patch " + s.name("image:2") + " application/merge-patch+json"}; !slices.Equal(s.requests, want) {
		t.Errorf("requests %q, want %q", s.requests, want)
	}
	s.informed(t)
	s.look(t)
	if len(s.requests) > 0 {
		t.Errorf("requests %q, want none once it is recorded", s.requests)
	}
	s.informed(t)
	wantStrings(t, "stable at the end", []string{"image:1 1", "image:2 2"}, s.marks(t))
	if got := s.stableAndUpdate(t); got != "image:2 image:2 Complete" {
		t.Errorf("rollout: %s", got)
	}
}

// Without a rollout nothing is recorded as stable, and no request is made that was not made before there were rollouts.
func TestNothingIsStableWithoutARollout(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.DaemonSet){"own": func(*v1alpha1.DaemonSet) {}, "native": nativeKind} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, change)
			s.state.SeeNode(makeNode("n1"))
			var requests []string
			for _, image := range []string{"image:1", "image:2"} {
				s.change(t, image)
				s.runs("n1")
				for range 3 {
					s.look(t)
					for _, request := range s.requests {
						verb, number, _ := strings.Cut(request, " ")
						_, number, _ = strings.Cut(number, " ")
						requests = append(requests, verb+" "+number)
					}
					s.informed(t)
				}
			}
			wantStrings(t, "requests", []string{"create as 1", "create as 2"}, requests)
			wantStrings(t, "stable", nil, s.marks(t))
			if got := s.stableAndUpdate(t); got != "no rollout" {
				t.Errorf("status has %s", got)
			}
		})
	}
}

// A native DaemonSet's records may have the annotation, because all of its annotations are copied to them. It means nothing there,
// and stays.
func TestNativeRecordsAreLeftAlone(t *testing.T) {
	s := newShelf(t, nativeKind)
	s.put(t, "image:1", 1, func(object *appsv1.ControllerRevision) {
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, v1alpha1.StableAnnotation, "7")
	})
	s.informed(t)
	s.reconciles(t)
	wantStrings(t, "stable", []string{"image:1 7"}, s.marks(t))
}

// What is stable while no record says so, as after an upgrade from a release without rollouts: what most pods have that do not have
// the new template, or else the new one.
func TestStableOfARolloutInProgress(t *testing.T) {
	tests := map[string]struct {
		first, second, third int // the number of nodes with a pod of each image; the third is the present one
		want                 string
	}{
		"all pods have the present template": {0, 0, 4, "image:3"},
		"most of the others have the first":  {2, 1, 3, "image:1"},
		"most of the others have the second": {1, 2, 1, "image:2"},
		"as many have the first":             {1, 1, 1, "image:2"}, // it was recorded later
		"no pods":                            {0, 0, 0, "image:3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, withRollout(v1alpha1.Rollout{}))
			s.rollout(t, nil)
			node := 0
			for i, pods := range []int{test.first, test.second, test.third} {
				if image := fmt.Sprintf("image:%d", i+1); i > 0 {
					s.change(t, image)
				}
				for range pods {
					node++
					s.state.SeeNode(makeNode(fmt.Sprintf("n%d", node)))
					s.runs(fmt.Sprintf("n%d", node))
				}
				s.reconciles(t)
			}
			wantStrings(t, "stable before", nil, s.marks(t))
			s.rollout(t, &v1alpha1.Rollout{Paused: true})
			s.reconciles(t)
			wantStrings(t, "stable", []string{test.want + " 1"}, s.marks(t))
			s.state.SeeNode(makeNode("joins"))
			if got := s.made("joins"); got != test.want {
				t.Errorf("a node that joins gets %s, want %s", got, test.want)
			}
		})
	}
}

// A restart changes nothing of what is held back: missing pods are created from the stable revision, although the record of an
// abandoned one is newer, and no status says what is stable.
func TestStableSurvivesARestart(t *testing.T) {
	s := newShelf(t, withRollout(v1alpha1.Rollout{}))
	s.state.SeeNode(makeNode("n1"))
	s.reconciles(t)
	s.runs("n1")
	s.rollout(t, &v1alpha1.Rollout{Paused: true})
	s.change(t, "image:2")
	s.reconciles(t)
	s.change(t, "image:3")
	s.reconciles(t)
	s.gone("image:1", "n1")
	if got := s.made("n1"); got != "image:1" {
		t.Errorf("a pod of %q is created, want image:1", got)
	}
	s.restart(t)
	s.state.SeeNode(makeNode("n1"))
	if got := s.made("n1"); got != "image:1" {
		t.Errorf("after a restart a pod of %q is created, want image:1", got)
	}
	if got := s.stableAndUpdate(t); got != "image:1 image:3 Paused" {
		t.Errorf("rollout: %s", got)
	}
	s.reconciles(t)
	wantStrings(t, "stable", []string{"image:1 1"}, s.marks(t))
}

// The record of what is stable is kept, whatever the limit, although no pod has it and no node is held back.
func TestRecordOfTheStableRevisionIsKept(t *testing.T) {
	s := newShelf(t, withRollout(v1alpha1.Rollout{}), limit(0))
	s.reconciles(t)
	s.rollout(t, &v1alpha1.Rollout{Paused: true})
	for _, image := range []string{"image:2", "image:3"} {
		s.change(t, image)
		s.reconciles(t)
	}
	wantStrings(t, "history", []string{"1 image:1", "3 image:3"}, s.history(t))
}

// What is stable is forgotten with spec.rollout: otherwise a rollout that gets one again would return to a template of that time.
func TestStableIsForgottenWithTheRollout(t *testing.T) {
	s := newShelf(t, withRollout(v1alpha1.Rollout{}))
	s.state.SeeNode(makeNode("n1"))
	s.reconciles(t)
	s.runs("n1")
	wantStrings(t, "stable", []string{"image:1 1"}, s.marks(t))
	s.rollout(t, nil)
	s.reconciles(t)
	wantStrings(t, "stable without a rollout", nil, s.marks(t))
	s.change(t, "image:2")
	s.reconciles(t)
	s.gone("image:1", "n1")
	s.runs("n1")
	s.rollout(t, &v1alpha1.Rollout{Paused: true})
	s.reconciles(t)
	wantStrings(t, "stable with a rollout again", []string{"image:2 1"}, s.marks(t))
}

// A template that has no record yet does not change what is held back.
func TestHeldBackWhileNotRecorded(t *testing.T) {
	s := newShelf(t, withRollout(v1alpha1.Rollout{NodeSelector: &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"canary": "true"}}}))
	nodes := []*corev1.Node{makeNode("n1"), makeNode("n2", labelled("canary", "true"))}
	for _, node := range nodes {
		s.state.SeeNode(node)
	}
	s.reconciles(t)
	s.change(t, "image:2")
	s.reconciles(t)
	s.refuse["create"] = errQuota()
	s.change(t, "image:3")
	s.reconciles(t)
	if got := s.made("n1") + " " + s.made("n2"); got != "image:1 image:1" {
		t.Errorf("%s are created, want the stable revision on nodes that join", got)
	}
	if got := s.stableAndUpdate(t); got != "image:1 image:3 Progressing" {
		t.Errorf("rollout: %s", got)
	}
}

// A duplicate of the record that is stable is only deleted once the other one is recorded as stable.
func TestDuplicateOfTheStableRecord(t *testing.T) {
	record := func(name string, number, stable int64) daemon.Record {
		return daemon.Record{Name: name, Number: number, Content: "c", Revision: "r", Holder: daemon.Ours, Stable: stable}
	}
	ops := func(records ...daemon.Record) (ops []string) {
		for _, step := range daemon.PlanHistory(daemon.History{Content: "c", Name: "new", Limit: 10, Records: records, InUse: func(string) bool { return false }}) {
			ops = append(ops, fmt.Sprintf("%s %s %d", step.Op, step.Record.Name, step.Number))
		}
		return ops
	}
	wantStrings(t, "steps", []string{"Keep b 0", "Promote b 5"}, ops(record("a", 1, 5), record("b", 2, 0)))
	wantStrings(t, "steps after that", []string{"Keep b 0", "Delete a 0"}, ops(record("a", 1, 5), record("b", 2, 5)))
}
