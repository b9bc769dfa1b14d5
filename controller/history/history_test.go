package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

var revisionsResource = schema.GroupResource{Group: "apps", Resource: "controllerrevisions"}

// shelf is a Reconciler of daemon d with its environment: an API server whose requests for
// ControllerRevisions are recorded and may be refused.
type shelf struct {
	client.WithWatch
	*recorder
	reconciler *Reconciler
	state      *statetest.State
	queues     *fixture.Queues
	clock      *fixture.Clock
	shown      []string // names of ControllerRevisions that were observed
	set        *v1alpha1.DaemonSet
	requests   []string
	refuse     map[string]error // by "<verb> <name>", or only by verb
}

func newShelf(t *testing.T, change ...func(*v1alpha1.DaemonSet)) *shelf {
	t.Helper()
	s := &shelf{recorder: &recorder{}, set: makeDaemon("d", change...), refuse: map[string]error{}}
	s.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d"}}
	s.WithWatch = fake.NewClientBuilder().WithScheme(fixture.Scheme()).WithObjects(fixture.Stored(s.set.DeepCopy())).
		WithStatusSubresource(&v1alpha1.DaemonSet{}, &appsv1.DaemonSet{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: s.create, Patch: s.patch, Delete: s.delete, Get: s.get, SubResourcePatch: s.patchStatus}).Build()
	s.reload(t)
	native := fixture.Native(s.set)
	kinds := model.Kinds{Everynode: !native, Apps: native}
	s.queues, s.clock = &fixture.Queues{}, &fixture.Clock{Time: t0}
	s.state = statetest.Starting(kinds, s.queues, s.clock)
	s.state.Update(model.Update.Begin)
	s.reconciler = New(Deps{Kinds: kinds, State: s.state.State, Client: s.WithWatch, Reader: s.WithWatch, Recorder: s.recorder})
	s.state.SeeAlone(t, s.set)
	return s
}

// revision returns the revision of the daemon's template.
func (s *shelf) revision() string {
	subject, _ := s.state.Subject(fixture.Key(s.set))
	return subject.Template.Revision
}

// reload reads the daemon again.
func (s *shelf) reload(t *testing.T) {
	t.Helper()
	stored := fixture.Stored(s.set.DeepCopy())
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.set), stored); err != nil {
		t.Fatal(err)
	}
	s.requests = nil
	s.set = fixture.FromStored(stored)
}

// ask records a request, and may refuse it.
func (s *shelf) ask(verb, name, how string) error {
	s.requests = append(s.requests, strings.TrimSpace(fmt.Sprintf("%s %s %s", verb, name, how)))
	if err, ok := s.refuse[verb+" "+name]; ok {
		return err
	}
	return s.refuse[verb]
}

func (s *shelf) create(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
	record, is := object.(*appsv1.ControllerRevision)
	if !is {
		return c.Create(ctx, object, options...)
	}
	if err := s.ask("create", record.Name, fmt.Sprintf("as %d", record.Revision)); err != nil {
		return err
	}
	stored := record.DeepCopy()
	stored.UID = types.UID("uid-" + stored.Name)
	return c.Create(ctx, stored, options...)
}

func (s *shelf) patch(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), `"resourceVersion":"`) || !strings.Contains(string(data), `"uid":"`) {
		return fmt.Errorf("patch %s has no precondition", data)
	}
	if err := s.ask("patch", object.GetName(), string(patch.Type())); err != nil {
		return err
	}
	return c.Patch(ctx, object, patch, options...)
}

func (s *shelf) delete(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
	preconditions := (&client.DeleteOptions{}).ApplyOptions(options).Preconditions
	if preconditions == nil || preconditions.UID == nil {
		return errors.New("a delete without a UID")
	}
	if err := s.ask("delete", object.GetName(), string(*preconditions.UID)); err != nil {
		return err
	}
	return c.Delete(ctx, object)
}

func (s *shelf) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := s.ask("get", key.Name, ""); err != nil {
		return err
	}
	return c.Get(ctx, key, object, options...)
}

func (s *shelf) patchStatus(ctx context.Context, c client.Client, _ string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	if err := s.ask("patch status of", object.GetName(), ""); err != nil {
		return err
	}
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	if s.set.Status.ObservedGeneration == 0 && !strings.Contains(string(data), `"numberReady":0`) { // the API server requires the numbers
		return fmt.Errorf("patch %s of a status that was never written has no numbers", data)
	}
	return c.Status().Patch(ctx, object, patch, options...)
}

// stored returns all ControllerRevisions, sorted by number.
func (s *shelf) stored(t *testing.T) []appsv1.ControllerRevision {
	t.Helper()
	var list appsv1.ControllerRevisionList
	if err := s.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return list.Items
}

// informed passes all stored objects to the model, as the informer does.
func (s *shelf) informed(t *testing.T) {
	t.Helper()
	for _, name := range s.shown {
		s.state.ForgetRevision("ns", name)
	}
	s.shown = nil
	for _, object := range s.stored(t) {
		s.state.SeeRevision(&object)
		s.shown = append(s.shown, object.Name)
	}
}

// put stores a ControllerRevision of an image, by default the daemon's, without the reconciler.
func (s *shelf) put(t *testing.T, image string, number int64, change ...func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
	t.Helper()
	return s.keep(t, fixture.Template(s.set, image), number, change...)
}

// keep stores a ControllerRevision of a template.
func (s *shelf) keep(t *testing.T, template *daemon.Template, number int64, change ...func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
	t.Helper()
	object := fixture.RecordOf(template, number, change...)
	if err := s.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	s.requests = nil
	return object
}

// name returns the name of the record of an image.
func (s *shelf) name(image string) string {
	return daemon.RevisionName("d", fixture.Template(s.set, image).Revision)
}

// change sets the daemon's image.
func (s *shelf) change(t *testing.T, image string) {
	t.Helper()
	s.set = s.set.DeepCopy()
	s.set.Generation++
	s.set.Spec.Template.Spec.Containers[0].Image = image
	s.state.SeeAlone(t, s.set)
}

func (s *shelf) look(t *testing.T) string {
	t.Helper()
	s.requests = nil
	return outcome(s.reconciler.Reconcile(t.Context(), fixture.Key(s.set)))
}

// history returns the stored records, as "<number> <image>".
func (s *shelf) history(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, object := range s.stored(t) {
		_, image, _ := strings.Cut(string(object.Data.Raw), `"image":"`)
		image, _, _ = strings.Cut(image, `"`)
		lines = append(lines, fmt.Sprintf("%d %s", object.Revision, image))
	}
	return lines
}

func preconditionOf(object client.Object) client.Preconditions {
	uid := object.GetUID()
	return client.Preconditions{UID: &uid}
}

func orphan(object *appsv1.ControllerRevision) { object.OwnerReferences = nil }

func ofAnother(object *appsv1.ControllerRevision) { object.OwnerReferences[0].UID = "uid-other" }

func limit(n int32) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.RevisionHistoryLimit = &n }
}

func TestHistoryFollowsTheTemplate(t *testing.T) {
	s := newShelf(t)
	for _, step := range []struct {
		image string
		want  []string
	}{
		{"image:1", []string{"1 image:1"}},
		{"image:2", []string{"1 image:1", "2 image:2"}},
		{"image:3", []string{"1 image:1", "2 image:2", "3 image:3"}},
		{"image:1", []string{"2 image:2", "3 image:3", "4 image:1"}},
		{"image:1", []string{"2 image:2", "3 image:3", "4 image:1"}},
		{"image:3", []string{"2 image:2", "4 image:1", "5 image:3"}},
	} {
		s.change(t, step.image)
		s.look(t)
		s.informed(t)
		if diff := cmp.Diff(step.want, s.history(t)); diff != "" {
			t.Fatalf("history with %s (-want, +got):\n%s", step.image, diff)
		}
		if got := s.look(t); got != settled || len(s.requests) > 0 {
			t.Fatalf("L2: %s, another call sends %q", got, s.requests)
		}
	}
	wantStrings(t, "events", nil, s.Drain())
}

func TestHistoryRecords(t *testing.T) {
	s := newShelf(t, func(set *v1alpha1.DaemonSet) {
		set.Annotations = map[string]string{"kubernetes.io/change-cause": "why"}
	})
	if got := s.look(t); got != looksLater {
		t.Errorf("Reconcile = %s", got)
	}
	stored := s.stored(t)
	if len(stored) != 1 {
		t.Fatalf("%d are stored", len(stored))
	}
	want := metav1.ObjectMeta{
		Namespace: "ns", Name: s.name("image:1"), UID: stored[0].UID, ResourceVersion: stored[0].ResourceVersion,
		Labels:          map[string]string{"app": "d", "controller-revision-hash": fixture.Template(s.set, "image:1").Revision},
		Annotations:     map[string]string{"kubernetes.io/change-cause": "why"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.set, v1alpha1.DaemonSetKind)},
	}
	if diff := cmp.Diff(want, stored[0].ObjectMeta); diff != "" {
		t.Errorf("metadata (-want, +got):\n%s", diff)
	}

	// The cache does not show it yet: it is found by its name, and not reported.
	if got := s.look(t); got != looksLater || len(s.stored(t)) != 1 {
		t.Errorf("Reconcile with a stale cache = %s, %v", got, s.history(t))
	}
	wantStrings(t, "events", nil, s.Drain())
}

func TestHistoryLimit(t *testing.T) {
	var twelve []string
	for i := 2; i <= 12; i++ {
		twelve = append(twelve, fmt.Sprintf("%d image:%d", i, i))
	}
	tests := map[string]struct {
		change []func(*v1alpha1.DaemonSet)
		want   []string
	}{
		"ten by default": {want: twelve},
		"two":            {change: []func(*v1alpha1.DaemonSet){limit(2)}, want: []string{"10 image:10", "11 image:11", "12 image:12"}},
		"none":           {change: []func(*v1alpha1.DaemonSet){limit(0)}, want: []string{"12 image:12"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, test.change...)
			for i := range 11 {
				s.put(t, fmt.Sprintf("image:%d", i+1), int64(i+1))
			}
			s.change(t, "image:11")
			s.informed(t)
			s.change(t, "image:12")
			s.look(t)
			s.informed(t) // until then pods may be recreated with image:11
			s.look(t)
			if diff := cmp.Diff(test.want, s.history(t)); diff != "" {
				t.Errorf("history (-want, +got):\n%s", diff)
			}
		})
	}
}

// A revision that a pod has is kept for rollback; when the last pod is gone, the limit takes effect.
func TestHistoryKeepsWhatPodsHave(t *testing.T) {
	s := newShelf(t, limit(0))
	node := makeNode("n1")
	s.state.SeeNode(node)
	pod := makePod(s.set, node)
	s.put(t, "image:1", 1)
	s.put(t, "image:2", 2)
	s.informed(t)
	s.state.SeePod(pod)
	s.change(t, "image:3")
	s.look(t)
	s.informed(t)
	if diff := cmp.Diff([]string{"1 image:1", "3 image:3"}, s.history(t)); diff != "" {
		t.Errorf("history (-want, +got):\n%s", diff)
	}
	terminating(pod)
	s.state.SeePod(pod)
	s.queues.Histories = nil
	if got := s.look(t); got != settled || len(s.requests) > 0 {
		t.Errorf("a terminating pod: %s, sends %q", got, s.requests)
	}
	s.state.ForgetPod(pod)
	if diff := cmp.Diff([]types.UID{s.set.UID}, s.queues.Histories); diff != "" {
		t.Errorf("woken (-want, +got):\n%s", diff)
	}
	s.look(t)
	if diff := cmp.Diff([]string{"3 image:3"}, s.history(t)); diff != "" {
		t.Errorf("history without the pod (-want, +got):\n%s", diff)
	}
}

func TestHistoryOfNoDaemon(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *shelf){
		"gone":        func(_ *testing.T, s *shelf) { s.state.ForgetDaemon(fixture.Key(s.set)) },
		"terminating": func(t *testing.T, s *shelf) { deleting(s.set); s.state.SeeAlone(t, s.set) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, limit(0))
			s.put(t, "image:0", 1)
			s.put(t, "image:5", 2, orphan)
			s.informed(t)
			leave(t, s)
			if got := s.look(t); got != settled || len(s.requests) > 0 {
				t.Errorf("Reconcile = %s, sends %q", got, s.requests)
			}
		})
	}
}

func TestHistoryAdopts(t *testing.T) {
	s := newShelf(t)
	foreign := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "uid-c"}
	s.put(t, "image:0", 1, orphan)
	s.put(t, "image:1", 2, func(object *appsv1.ControllerRevision) { object.OwnerReferences = []metav1.OwnerReference{foreign} })
	s.put(t, "other", 3, orphan, func(object *appsv1.ControllerRevision) { object.Labels["app"] = "other" })
	s.put(t, "no-template", 4, orphan, func(object *appsv1.ControllerRevision) { object.Data.Raw = []byte(`{"x":"no-template"}`) })
	s.informed(t)
	if got := s.look(t); got != settled {
		t.Errorf("Reconcile = %s", got)
	}
	wantStrings(t, "requests", []string{
		"get d", "patch " + s.name("image:1") + " application/strategic-merge-patch+json",
		"get d", "patch " + s.name("image:0") + " application/strategic-merge-patch+json",
	}, s.requests)
	owner := *metav1.NewControllerRef(s.set, v1alpha1.DaemonSetKind)
	want := [][]metav1.OwnerReference{{owner}, {owner, foreign}, nil, nil}
	for i, object := range s.stored(t) {
		slices.SortFunc(object.OwnerReferences, func(a, b metav1.OwnerReference) int { return strings.Compare(string(b.UID), string(a.UID)) })
		if diff := cmp.Diff(want[i], object.OwnerReferences); diff != "" {
			t.Errorf("owners of %s (-want, +got):\n%s", object.Name, diff)
		}
	}
	s.informed(t)
	if got := s.look(t); got != settled || len(s.requests) > 0 {
		t.Errorf("Reconcile = %s, sends %q", got, s.requests)
	}
}

// The cache may show a daemon that no longer exists: what it adopts would be lost.
func TestHistoryDoesNotAdoptFor(t *testing.T) {
	tests := map[string]func(*testing.T, *shelf){
		"a daemon that is gone": func(t *testing.T, s *shelf) {
			if err := s.Delete(t.Context(), s.set.DeepCopy(), preconditionOf(s.set)); err != nil {
				t.Fatal(err)
			}
		},
		"a daemon recreated": func(t *testing.T, s *shelf) {
			s.set = s.set.DeepCopy()
			s.set.UID = "uid-former"
			s.state.SeeAlone(t, s.set)
		},
		"a daemon that is terminating": func(t *testing.T, s *shelf) {
			var ending v1alpha1.DaemonSet
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.set), &ending); err != nil {
				t.Fatal(err)
			}
			ending.Finalizers = []string{"example.com/wait"}
			if err := s.Update(t.Context(), &ending); err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(t.Context(), &ending, preconditionOf(s.set)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, limit(0))
			s.put(t, "image:0", 1, orphan)
			s.informed(t)
			change(t, s)
			if got := s.look(t); got != settled {
				t.Errorf("Reconcile = %s", got)
			}
			wantStrings(t, "requests", []string{"get d"}, s.requests)
		})
	}
}

// A taken name increments collisionCount, as in apps/v1; the template is then
// recorded under another name. The revision of pods stays.
func TestHistoryNameIsTaken(t *testing.T) {
	tests := map[string]func(*appsv1.ControllerRevision){
		"by another owner's":                  ofAnother,
		"by an orphan that cannot be adopted": func(object *appsv1.ControllerRevision) { object.OwnerReferences, object.Labels = nil, nil },
		"by another template's": func(object *appsv1.ControllerRevision) {
			object.Data.Raw = []byte(strings.ReplaceAll(string(object.Data.Raw), "image:1", "x"))
		},
	}
	for name, change := range tests {
		for cached, informs := range map[string]bool{"": true, ", not in the cache": false} {
			t.Run(name+cached, func(t *testing.T) {
				s := newShelf(t)
				taken := s.put(t, "image:1", 5, change)
				if informs {
					s.informed(t)
				}
				before := fixture.Template(s.set, "image:1").Revision
				s.look(t)
				wantStrings(t, "events", []string{"d: Warning RevisionNameTaken"}, s.Drain())
				s.reload(t)
				if got := s.set.Status.CollisionCount; got == nil || *got != 1 {
					t.Fatalf("collisionCount %v, want 1", got)
				}
				s.state.SeeAlone(t, s.set)
				s.informed(t)
				s.look(t)
				s.informed(t)
				var recorded appsv1.ControllerRevision
				if err := s.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: s.name("image:1") + "-1"}, &recorded); err != nil {
					t.Fatal(err)
				}
				if after := s.revision(); after != before || recorded.Labels[appsv1.ControllerRevisionHashLabelKey] != before {
					t.Errorf("the template has revision %s and is recorded as %s, want %s as before", after, recorded.Labels[appsv1.ControllerRevisionHashLabelKey], before)
				}
				var still appsv1.ControllerRevision
				if err := s.Get(t.Context(), client.ObjectKeyFromObject(taken), &still); err != nil || !cmp.Equal(still.Data.Raw, taken.Data.Raw) {
					t.Errorf("the object with the name is %+v, %v", still, err)
				}
			})
		}
	}
}

// A record of our own that the watch does not show yet is met too, and keeps its number.
func TestHistoryMeetsItsOwnRecord(t *testing.T) {
	s := newShelf(t)
	s.look(t)
	s.look(t)
	s.informed(t)
	s.look(t)
	wantStrings(t, "history", []string{"1 image:1"}, s.history(t))
}

// A record that only the API server has shown is numbered too: a watch that is still late does not let two records have one number.
func TestHistoryNumbersAboveWhatItMet(t *testing.T) {
	s := newShelf(t)
	s.put(t, "image:1", 5, func(object *appsv1.ControllerRevision) {
		object.Data.Raw = []byte(strings.ReplaceAll(string(object.Data.Raw), "image:1", "x"))
	})
	s.look(t)
	s.reload(t)
	s.state.SeeAlone(t, s.set)
	s.look(t)
	var recorded appsv1.ControllerRevision
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: s.name("image:1") + "-1"}, &recorded); err != nil || recorded.Revision != 6 {
		t.Errorf("the template's record has number %d, want 6 (%v)", recorded.Revision, err)
	}
}

func TestHistoryAnswers(t *testing.T) {
	gone, conflict := apierrors.NewNotFound(revisionsResource, "x"), apierrors.NewConflict(revisionsResource, "x", errors.New("changed"))
	denied, silent := apierrors.NewForbidden(revisionsResource, "x", errors.New("exceeded quota")), errors.New("connection refused")
	tests := map[string]struct {
		verb       string
		refuse     error
		want       string
		wantEvents []string
	}{
		"create, namespace terminating": {"create", errNamespaceTerminating(), failed, []string{"ns: Warning RevisionNotRecorded"}},
		"create, quota":                 {"create", denied, failed, []string{"d: Warning RevisionNotRecorded"}},
		"create, not reached":           {"create", silent, again, nil},
		"create, namespace gone":        {"create", gone, again, nil},
		"patch, changed":                {"patch", conflict, looksLater, nil},
		"patch, gone":                   {"patch", gone, settled, nil},
		"patch, forbidden":              {"patch", denied, failed, nil},
		"patch, not reached":            {"patch", silent, again, nil},
		"delete, another":               {"delete", conflict, settled, nil},
		"delete, gone":                  {"delete", gone, settled, nil},
		"delete, forbidden":             {"delete", denied, failed, nil},
		"delete, not reached":           {"delete", silent, again, nil},
		"get, not reached":              {"get", silent, again, nil},
		"get, forbidden":                {"get", denied, failed, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, limit(1))
			switch test.verb {
			case "patch", "delete": // one to renumber; one to delete
				s.put(t, "image:1", 1)
				s.put(t, "image:2", 2)
				s.put(t, "image:3", 3)
			case "get":
				s.put(t, "image:1", 1, orphan)
			}
			s.informed(t)
			s.refuse[test.verb] = test.refuse
			got := s.look(t)
			if test.verb == "delete" && got == looksLater {
				got = settled
			}
			if got != test.want {
				t.Errorf("Reconcile = %s, want %s; sent %q", got, test.want, s.requests)
			}
			wantStrings(t, "events", test.wantEvents, s.Drain())
		})
	}
}

// Deleting old records may make room for the new one.
func TestHistoryDeletesWhenItCannotRecord(t *testing.T) {
	s := newShelf(t, limit(0))
	s.put(t, "image:0", 1)
	s.informed(t)
	s.refuse["create"] = apierrors.NewForbidden(revisionsResource, "x", errors.New("exceeded quota"))
	if got := s.look(t); got != failed || len(s.stored(t)) != 0 {
		t.Errorf("Reconcile = %s, history %v", got, s.history(t))
	}
	delete(s.refuse, "create")
	s.informed(t)
	s.look(t)
	if diff := cmp.Diff([]string{"1 image:1"}, s.history(t)); diff != "" {
		t.Errorf("history (-want, +got):\n%s", diff)
	}
}

// A patch for an outdated state must not change the current one.
func TestHistoryPatchesTheObservedState(t *testing.T) {
	s := newShelf(t)
	s.put(t, "image:1", 1)
	s.put(t, "image:2", 2)
	s.informed(t)
	moved := s.stored(t)[0]
	moved.Revision = 9 // another client was faster
	if err := s.Update(t.Context(), &moved); err != nil {
		t.Fatal(err)
	}
	if got := s.look(t); got != looksLater {
		t.Errorf("Reconcile = %s", got)
	}
	if diff := cmp.Diff([]string{"2 image:2", "9 image:1"}, s.history(t)); diff != "" {
		t.Errorf("history (-want, +got):\n%s", diff)
	}
}

// A daemon gets no pods before its template is recorded, as in apps/v1.
func TestHistoryIsWaitedFor(t *testing.T) {
	s := newShelf(t)
	s.refuse["create"] = errors.New("connection refused")
	s.look(t)
	s.state.SeeNode(makeNode("n1"))
	s.state.WantSteps(t, fixture.Key(s.set).On("n1"))
	if wait, _ := s.reconciler.Reconcile(t.Context(), fixture.Key(s.set)); wait.RequeueAfter != 2*answers.UnansweredBackOff {
		t.Errorf("the second attempt waits %v, want %v", wait.RequeueAfter, 2*answers.UnansweredBackOff)
	}
	delete(s.refuse, "create")
	s.look(t)
	if got := s.reconciler.unanswered.NumRequeues(fixture.Key(s.set)); got != 0 {
		t.Errorf("%d failures are recorded", got)
	}
	s.informed(t)
	s.state.WantSteps(t, fixture.Key(s.set).On("n1"), createStep)
}

// An orphan with matching labels in another namespace is not adopted.
func TestHistoryAdoptsInItsNamespace(t *testing.T) {
	s := newShelf(t)
	s.put(t, "image:1", 1)
	s.put(t, "image:0", 2, orphan, func(object *appsv1.ControllerRevision) { object.Namespace = "elsewhere" })
	s.informed(t)
	if got := s.look(t); got != settled || len(s.requests) > 0 {
		t.Errorf("Reconcile = %s, sends %q", got, s.requests)
	}
}
