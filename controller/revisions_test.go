package controller

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

func selecting(set *v1alpha1.DaemonSet) {
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: set.Spec.Template.Labels}
}

func TestRevisionsWake(t *testing.T) {
	s := newShelf(t)
	see(t, s.world, makeDaemon("e", selecting))
	see(t, s.world, makeDaemon("elsewhere", func(set *v1alpha1.DaemonSet) {
		set.Namespace, set.Spec.Template.Labels = "elsewhere", map[string]string{"app": "d"}
	}, selecting))
	see(t, s.world, makeDaemon("leaving", deleting, func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Labels = map[string]string{"app": "d"}
	}, selecting))
	handler := (&observer{world: s.world}).revisionHandler()

	early := s.put(t, "early", 1)
	handler.OnAdd(early, true)
	s.queues.looked()

	ours := s.put(t, "image:0", 1)
	free := s.put(t, "image:5", 1, orphan)
	other := s.put(t, "image:6", 1, ofAnother, func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].APIVersion = "apps/v1" })
	named := s.put(t, "image:1", 1, ofAnother, func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].APIVersion = "apps/v1" })
	changed := func(object *appsv1.ControllerRevision, change func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
		object = object.DeepCopy()
		change(object)
		return object
	}
	missed := func(object any) any { return toolscache.DeletedFinalStateUnknown{Key: "k", Obj: object} }
	for _, test := range []struct {
		name  string
		event func()
		want  []string
	}{
		{"ours", func() { handler.OnAdd(ours, false) }, []string{"uid-d"}},
		{"ours changed", func() { handler.OnUpdate(ours, ours) }, []string{"uid-d"}},
		{"ours becomes another daemon's", func() { handler.OnUpdate(ours, changed(ours, ofAnother)) }, []string{"uid-d", "uid-other"}},
		{"ours becomes an orphan", func() { handler.OnUpdate(ours, changed(ours, orphan)) }, []string{"uid-d", "uid-other"}},
		{"ours deleted", func() { handler.OnDelete(missed(ours)) }, []string{"uid-d"}},
		{"ours deleted again", func() { handler.OnDelete(ours) }, nil},
		{"an orphan", func() { handler.OnAdd(free, false) }, []string{"uid-d"}},
		{"an orphan is adopted by another kind", func() {
			handler.OnUpdate(free, changed(free, func(object *appsv1.ControllerRevision) { object.OwnerReferences = other.OwnerReferences }))
		}, []string{"uid-d"}},
		{"somebody else's", func() { handler.OnAdd(other, false) }, nil},
		{"somebody else's deleted", func() { handler.OnDelete(other) }, nil},
		{"one of our name", func() { handler.OnAdd(named, false) }, []string{"uid-d"}},
		{"one of our name deleted", func() { handler.OnDelete(named) }, []string{"uid-d"}},
	} {
		test.event()
		wantStrings(t, test.name, test.want, s.queues.looked())
	}
	handler.OnDelete(free)
	handler.OnDelete(early)
	if r := s.world.model.records; len(r.known)+len(r.held) > 0 {
		t.Errorf("remembered: %v", r)
	}
}

// A new template and a pod that is gone wake a daemon's history; nothing else of a pod does.
func TestWorldWakesHistory(t *testing.T) {
	w, q, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node)
	for _, test := range []struct {
		name  string
		event func()
		want  []string
	}{
		{"a node", func() { w.nodeSeen(node) }, nil},
		{"a daemon", func() { see(t, w, set) }, []string{"uid-d"}},
		{"its status", func() { see(t, w, makeDaemon("d")) }, nil},
		{"its annotations", func() {
			see(t, w, makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Annotations = map[string]string{"a": "b"} }))
		}, []string{"uid-d"}},
		{"a new generation", func() { see(t, w, makeDaemon("d", generation(2))) }, []string{"uid-d"}},
		{"a pod", func() { w.podSeen(pod) }, nil},
		{"a pod is bound", func() { w.podSeen(makePod(set, node, bound("n1"))) }, nil},
		{"a pod is gone", func() { w.podGone(pod) }, []string{"uid-d"}},
	} {
		test.event()
		wantStrings(t, test.name, test.want, q.looked())
	}
}

func TestWorldHolds(t *testing.T) {
	w, _, _ := newTestWorld()
	set := makeDaemon("d")
	pod := makePod(set, makeNode("n1"))
	w.podSeen(pod)
	revision := pod.Labels["controller-revision-hash"]
	if !w.holds(keyOf(set), revision) || w.holds(keyOf(set), "other") || w.holds(keyOf(makeDaemon("other")), revision) {
		t.Error("what revisions pods have is not what the world knows")
	}
}

func TestTrimRevision(t *testing.T) {
	s := newShelf(t)
	full := func(change ...func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
		object := s.put(t, "image:9", 3, change...)
		if err := s.Delete(t.Context(), object.DeepCopy(), preconditionOf(object)); err != nil {
			t.Fatal(err)
		}
		object.UID, object.ResourceVersion, object.DeletionTimestamp = "uid", "7", &metav1.Time{Time: t0}
		object.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
		object.Annotations = map[string]string{"a": "b"}
		return object
	}
	for name, test := range map[string]struct {
		change func(*appsv1.ControllerRevision)
		keeps  bool
	}{
		"ours":             {func(*appsv1.ControllerRevision) {}, true},
		"an orphan":        {orphan, true},
		"of apps/v1":       {func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].APIVersion = "apps/v1" }, false},
		"of a StatefulSet": {func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].Kind = "StatefulSet" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			object := full(test.change)
			want := object.DeepCopy()
			want.ManagedFields, want.Annotations = nil, nil
			if !test.keeps {
				want.Labels, want.Data = nil, runtime.RawExtension{}
			}
			got, err := everynodeOnly.trimRevision(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("trimmed (-want, +got):\n%s", diff)
			}
			again, err := everynodeOnly.trimRevision(got)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("trimmed twice (-once, +twice): %v\n%s", err, diff)
			}
			if test.keeps {
				if diff := cmp.Diff(everynodeOnly.observeRevision(object), everynodeOnly.observeRevision(got.(*appsv1.ControllerRevision)), cmp.AllowUnexported(revision{})); diff != "" {
					t.Errorf("what is observed of it (-full, +trimmed):\n%s", diff)
				}
			}
		})
	}
	if got, err := everynodeOnly.trimRevision(&corev1.Pod{}); err != nil || !cmp.Equal(got, &corev1.Pod{}) {
		t.Errorf("something else = %v, %v", got, err)
	}
}

// countingSelector counts what it is compared with.
type countingSelector struct {
	labels.Selector
	compared *int
}

func (s countingSelector) Matches(of labels.Labels) bool {
	*s.compared++
	return s.Selector.Matches(of)
}

// A daemon's history is compared with its own records and those of nobody, not with everybody's; and
// what a record holds is worked out once, however often its labels change.
func TestRevisionsCompareWhatMayConcern(t *testing.T) {
	s := newShelf(t)
	key := keyOf(s.set)
	compared := 0
	s.world.model.daemons[key].selector = countingSelector{s.world.model.daemons[key].selector, &compared}
	for i := range 100 {
		s.world.revisionSeen(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: fmt.Sprintf("other-%d", i), UID: types.UID(fmt.Sprintf("uid-%d", i)), Labels: map[string]string{"app": "d"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "s", UID: "uid-s", Controller: new(true)}},
		}})
	}
	subject, ok := s.world.subject(key)
	if !ok {
		t.Fatal("the daemon is not there")
	}
	compared = 0
	s.world.recordsOf(&subject)
	if compared > 0 {
		t.Errorf("the selector is compared with %d records of others", compared)
	}
}

func TestRevisionsReadARecordOnce(t *testing.T) {
	template, err := daemon.NewRevision(daemon.NewTemplate(makeDaemon("d"), "abc"), "d-abc", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	template.UID = "uid-r"
	first := everynodeOnly.observeRevision(template)
	first.record.Content = "kept" // worked out again it would be something else
	relabelled := template.DeepCopy()
	relabelled.Labels["x"] = "y"
	again := everynodeOnly.observeAgain(relabelled, &first)
	if again.record.Content != "kept" || again.labels["x"] != "y" {
		t.Errorf("observed %+v, want the content that was worked out before and the labels of now", again)
	}
	another := relabelled.DeepCopy()
	another.UID = "uid-another"
	if got := everynodeOnly.observeAgain(another, &first).record.Content; got == "kept" {
		t.Error("another record of the name is taken for the former one")
	}
}
