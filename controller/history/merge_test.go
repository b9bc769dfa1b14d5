package history

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// called returns the revision of the daemon's new pods, empty while nothing is planned for it.
func (s *shelf) called() string {
	if object, _ := s.state.Health(fixture.Key(s.set)); object == nil {
		return ""
	}
	return s.revision()
}

// putRecord stores a record of the daemon's template with its own label.
func (s *shelf) putRecord(t *testing.T, called string, number int64, change ...func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
	t.Helper()
	return s.keep(t, daemon.NewTemplate(fixture.Workload(s.set), called), number, change...)
}

// A template has the revision under which it is recorded, regardless of who recorded it and how.
func TestTemplateHasItsRecordedRevision(t *testing.T) {
	for kind, change := range map[string]func(*v1alpha1.DaemonSet){"own": func(*v1alpha1.DaemonSet) {}, "native": nativeKind} {
		t.Run(kind, func(t *testing.T) {
			s := newShelf(t, change)
			s.putRecord(t, "elsewhere", 3)
			s.informed(t)
			if got := s.called(); got != "elsewhere" {
				t.Fatalf("the template's revision is %q", got)
			}
			s.look(t)
			wantStrings(t, "requests", nil, s.requests)

			// Changed limits do not change the template, and neither does a lost record.
			s.set = s.set.DeepCopy()
			s.set.Generation++
			s.set.Spec.MinReadySeconds = 5
			s.state.SeeAlone(t, s.set)
			if got := s.called(); got != "elsewhere" {
				t.Errorf("with other limits the template's revision is %q", got)
			}
			s.state.ForgetRevision("ns", "d-elsewhere")
			if got := s.called(); got != "elsewhere" {
				t.Errorf("with its record lost the template's revision is %q", got)
			}

			s.change(t, "image:2")
			if got := s.called(); got == "elsewhere" {
				t.Error("another template has the same revision")
			}
		})
	}
}

// Pods of a native daemon wait until their template is recorded: only then is the revision that
// kube-controller-manager would use known.
func TestNativeTemplateWaitsForItsRecord(t *testing.T) {
	s := newShelf(t, nativeKind)
	s.state.SeeNode(makeNode("n1"))
	cell := fixture.Key(s.set).On("n1")
	if plan := s.state.Task(cell); len(plan.Actions) > 0 || s.called() != "" {
		t.Fatalf("revision %q, planned %v before there is a record", s.called(), plan.Actions)
	}
	if object, _ := s.state.Health(fixture.Key(s.set)); object != nil {
		t.Error("the status is reported before there is a record")
	}
	s.look(t)
	s.informed(t)
	id, err := daemon.Identify(fixture.Workload(s.set))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.called(); got != id.Revision {
		t.Errorf("revision %q, want %q", got, id.Revision)
	}
	if plan := s.state.Task(cell); len(plan.Actions) != 1 {
		t.Errorf("planned %v, want a pod", plan.Actions)
	}
	wantStrings(t, "history", []string{"1 image:1"}, s.history(t))
}

// A hash that another template has increments collisionCount for a native template; until it has
// its own record there are no pods of it.
func TestNativeTemplateCollides(t *testing.T) {
	s := newShelf(t, nativeKind)
	before, err := daemon.Identify(fixture.Workload(s.set))
	if err != nil {
		t.Fatal(err)
	}
	s.putRecord(t, before.Revision, 5, func(object *appsv1.ControllerRevision) {
		object.Data.Raw = []byte(`{"spec":{"template":{"$patch":"replace"}}}`)
	})
	s.informed(t)
	s.look(t)
	wantStrings(t, "events", []string{"d: Warning RevisionNameTaken"}, s.Drain())
	s.reload(t)
	s.state.SeeAlone(t, s.set)
	if s.called() != "" {
		t.Error("pods are planned before there is a record")
	}
	s.look(t)
	s.informed(t)
	if got := s.called(); got == "" || got == before.Revision {
		t.Errorf("revision %q after a collision, want another one than %q", got, before.Revision)
	}
	wantStrings(t, "history", []string{"5 ", "6 image:1"}, s.history(t))
}

// A second record of the template is not urgent. While two records are merged
// nothing is planned, because the template's pods have either revision. Then all get the
// one with the higher number, and none restarts.
func TestTwoRecordsBecomeOne(t *testing.T) {
	s := newShelf(t, nativeKind)
	s.state.SeeNode(makeNode("n1"))
	s.putRecord(t, "first", 1)
	s.informed(t)
	object := makePod(s.set, makeNode("n1"), bound("n1"), ready(t0))
	metav1.SetMetaDataLabel(&object.ObjectMeta, appsv1.ControllerRevisionHashLabelKey, "first")
	object.OwnerReferences = []metav1.OwnerReference{fixture.Workload(s.set).OwnerReference()}
	if err := s.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	observe := func() {
		t.Helper()
		var pod corev1.Pod
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(object), &pod); err != nil {
			t.Fatal(err)
		}
		s.state.SeePod(&pod)
	}
	observe()
	if got := s.called(); got != "first" {
		t.Fatalf("called %q", got)
	}
	s.queues.Looked()
	s.state.SeeRevision(s.putRecord(t, "second", 2))
	if got := s.called(); got != "first" {
		t.Errorf("revision %q because of a new record", got)
	}
	wantStrings(t, "reconciled because of another record", nil, s.queues.Looked())
	s.look(t)
	wantStrings(t, "requests", []string{"patch " + object.Name + " application/merge-patch+json"}, s.requests)
	if got := s.called(); got != "" {
		t.Errorf("planned as %q while a pod of the template has another revision", got)
	}
	s.state.SeeRevision(s.putRecord(t, "third", 0))
	wantStrings(t, "reconciled because of a record that arrived during a merge", []string{"uid-d"}, s.queues.Looked())
	s.state.ForgetRevision("ns", "d-third")
	if err := s.Delete(t.Context(), &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d-third"}}, client.Preconditions{UID: new(types.UID("uid-d-third"))}); err != nil {
		t.Fatal(err)
	}
	observe()
	if got := s.called(); got != "second" {
		t.Errorf("revision %q once all pods have the same", got)
	}
	if plan := s.state.Task(fixture.Key(s.set).On("n1")); len(plan.Actions) > 0 {
		t.Errorf("planned %v, want nothing: the pod has the template", plan.Actions)
	}
	s.look(t)
	s.informed(t)
	var left []string
	for _, record := range s.stored(t) {
		left = append(left, record.Name)
	}
	if diff := cmp.Diff([]string{"d-second"}, left); diff != "" {
		t.Errorf("records (-want, +got):\n%s", diff)
	}
}

// A pod that changed before it was relabelled, and one that was created from the other record in
// the meantime, are relabelled once they are observed: nothing is planned before.
func TestTwoRecordsBecomeOneWhilePodsChange(t *testing.T) {
	s := newShelf(t, nativeKind)
	s.putRecord(t, "first", 1)
	s.informed(t)
	hold := func(node string, change ...func(*corev1.Pod)) *corev1.Pod {
		t.Helper()
		s.state.SeeNode(makeNode(node))
		pod := makePod(s.set, makeNode(node), append(change, bound(node), func(pod *corev1.Pod) {
			pod.Labels[appsv1.ControllerRevisionHashLabelKey] = "first"
			pod.OwnerReferences = []metav1.OwnerReference{fixture.Workload(s.set).OwnerReference()}
		})...)
		if err := s.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		s.state.SeePod(pod)
		return pod
	}
	changed := hold("n1")
	s.putRecord(t, "second", 2)
	s.informed(t)
	ready(t0)(changed)
	if err := s.Status().Update(t.Context(), changed.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	s.refuse["patch "+changed.Name] = apierrors.NewForbidden(podsResource, changed.Name, errors.New("a policy denies it"))
	if got := s.look(t); got != failed {
		t.Errorf("a refused patch of a pod: %s, want %s", got, failed)
	}
	wantStrings(t, "events", []string{"d: Warning PodNotRelabelled"}, s.Drain())
	clear(s.refuse)
	for what, event := range map[string]func(){
		"a pod that changed": func() {
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(changed), changed); err != nil {
				t.Fatal(err)
			}
			s.state.SeePod(changed)
		},
		"a pod that was created": func() { hold("n2") },
	} {
		s.look(t)
		if got := s.called(); got != "" {
			t.Fatalf("planned as %q while a pod of the template has another revision", got)
		}
		s.queues.Looked()
		event()
		if len(s.queues.Looked()) == 0 {
			t.Errorf("the history is not reconciled after %s", what)
		}
	}
}
