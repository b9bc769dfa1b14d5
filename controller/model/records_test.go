package model

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

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// A new template and a pod that is gone wake a daemon's history; nothing else of a pod does.
func TestModelWakesHistory(t *testing.T) {
	s, q, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	pod := makePod(set, node)
	for _, test := range []struct {
		name  string
		event func()
		want  []string
	}{
		{"a node", func() { s.seeNode(node) }, nil},
		{"a daemon", func() { see(t, s, set) }, []string{"uid-d"}},
		{"its status", func() { see(t, s, makeDaemon("d")) }, nil},
		{"its annotations", func() {
			see(t, s, makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Annotations = map[string]string{"a": "b"} }))
		}, []string{"uid-d"}},
		{"a new generation", func() { see(t, s, makeDaemon("d", generation(2))) }, []string{"uid-d"}},
		{"a pod", func() { s.seePod(pod) }, nil},
		{"a pod is bound", func() { s.seePod(makePod(set, node, bound("n1"))) }, nil},
		{"a pod is gone", func() { s.forgetPod(pod) }, []string{"uid-d"}},
	} {
		test.event()
		wantStrings(t, test.name, test.want, q.Looked())
	}
}

func TestModelHolds(t *testing.T) {
	s, _, _ := newTestState()
	set := makeDaemon("d")
	pod := makePod(set, makeNode("n1"))
	s.seePod(pod)
	revision := pod.Labels["controller-revision-hash"]
	if !s.inUse(keyOf(set), revision) || s.inUse(keyOf(set), "other") || s.inUse(keyOf(makeDaemon("other")), revision) {
		t.Error("what revisions pods have is not what the model knows")
	}
}

func TestTrimRevision(t *testing.T) {
	full := func(change func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
		object, err := daemon.NewRevision(daemon.NewTemplate(workloadOf(makeDaemon("d")), "abc"), "d-abc", 3, nil)
		if err != nil {
			t.Fatal(err)
		}
		change(object)
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
		"an orphan":        {func(object *appsv1.ControllerRevision) { object.OwnerReferences = nil }, true},
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
			got, err := everynodeOnly.TrimRevision(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("trimmed (-want, +got):\n%s", diff)
			}
			again, err := everynodeOnly.TrimRevision(got)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("trimmed twice (-once, +twice): %v\n%s", err, diff)
			}
			if test.keeps {
				if diff := cmp.Diff(everynodeOnly.ObserveRevision(object), everynodeOnly.ObserveRevision(got.(*appsv1.ControllerRevision)), cmp.AllowUnexported(Revision{})); diff != "" {
					t.Errorf("what is observed of it (-full, +trimmed):\n%s", diff)
				}
			}
		})
	}
	if got, err := everynodeOnly.TrimRevision(&corev1.Pod{}); err != nil || !cmp.Equal(got, &corev1.Pod{}) {
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

// A daemon's history is compared with its own records and those without an owner, not with all others; and
// what a record holds is worked out once, however often its labels change.
func TestRevisionsCompareWhatMayConcern(t *testing.T) {
	s, _, _ := newTestState()
	set := makeDaemon("d")
	if err := s.seeDaemon(set, nil); err != nil {
		t.Fatal(err)
	}
	key := keyOf(set)
	compared := 0
	s.daemons[key].selector = countingSelector{s.daemons[key].selector, &compared}
	for i := range 100 {
		s.seeRevision(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: fmt.Sprintf("other-%d", i), UID: types.UID(fmt.Sprintf("uid-%d", i)), Labels: map[string]string{"app": "d"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "s", UID: "uid-s", Controller: new(true)}},
		}})
	}
	subject, ok := s.subject(key)
	if !ok {
		t.Fatal("the daemon is not there")
	}
	compared = 0
	s.records.of(&subject)
	if compared > 0 {
		t.Errorf("the selector is compared with %d records of others", compared)
	}
}

func TestRevisionsReadARecordOnce(t *testing.T) {
	template, err := daemon.NewRevision(daemon.NewTemplate(workloadOf(makeDaemon("d")), "abc"), "d-abc", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	template.UID = "uid-r"
	first := everynodeOnly.ObserveRevision(template)
	first.contents[0] = "kept" // if the data were read again it would be something else
	relabelled := template.DeepCopy()
	relabelled.Labels["x"] = "y"
	again := everynodeOnly.observeAgain(relabelled, &first)
	if again.contents[0] != "kept" || again.labels["x"] != "y" {
		t.Errorf("observed %+v, want the content that was worked out before and the labels of now", again)
	}
	another := relabelled.DeepCopy()
	another.UID = "uid-another"
	if got := everynodeOnly.observeAgain(another, &first).contents[0]; got == "kept" {
		t.Error("another record of the name is taken for the former one")
	}
}

// An empty selector matches everything; a DaemonSet that has one is not served.
func TestNoRecordsWithoutASelector(t *testing.T) {
	for name, selector := range map[string]labels.Selector{"none": labels.Nothing(), "empty": labels.Everything()} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newTestState()
			set := makeDaemon("d")
			if err := s.seeDaemon(set, nil); err != nil {
				t.Fatal(err)
			}
			orphan, err := daemon.NewRevision(daemon.NewTemplate(workloadOf(set), "abc"), "d-abc", 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			orphan.OwnerReferences = nil
			s.seeRevision(orphan)
			subject, _ := s.subject(keyOf(set))
			if records := s.records.of(&subject); len(records) != 1 {
				t.Fatalf("records %+v, want the orphan", records)
			}
			subject.selector = selector
			if records := s.records.of(&subject); len(records) > 0 {
				t.Errorf("records %+v, want none", records)
			}
		})
	}
}
