package engine

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/internal/daemon"
)

func selecting(set *v1alpha1.DaemonSet) {
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: set.Spec.Template.Labels}
}

func TestRevisionsWake(t *testing.T) {
	cluster, q, _ := statetest.New()
	set := makeDaemon("d")
	cluster.SeeAlone(t, set)
	cluster.SeeAlone(t, makeDaemon("e", selecting))
	cluster.SeeAlone(t, makeDaemon("elsewhere", func(set *v1alpha1.DaemonSet) {
		set.Namespace, set.Spec.Template.Labels = "elsewhere", map[string]string{"app": "d"}
	}, selecting))
	cluster.SeeAlone(t, makeDaemon("leaving", deleting, func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Labels = map[string]string{"app": "d"}
	}, selecting))
	handler := observing(cluster).ControllerRevisions()

	record := func(image string, number int64, change ...func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
		return fixture.RecordOf(fixture.Template(set, image), number, change...)
	}
	orphan := func(object *appsv1.ControllerRevision) { object.OwnerReferences = nil }
	ofAnother := func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].UID = "uid-other" }

	early := record("early", 1)
	handler.Added(early)
	q.Looked()

	ours := record("image:0", 1)
	free := record("image:5", 1, orphan)
	other := record("image:6", 1, ofAnother, func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].APIVersion = "apps/v1" })
	named := record("image:1", 1, ofAnother, func(object *appsv1.ControllerRevision) { object.OwnerReferences[0].APIVersion = "apps/v1" })
	changed := func(object *appsv1.ControllerRevision, change func(*appsv1.ControllerRevision)) *appsv1.ControllerRevision {
		object = object.DeepCopy()
		change(object)
		return object
	}
	for _, test := range []struct {
		name  string
		event func()
		want  []string
	}{
		{"ours", func() { handler.Added(ours) }, []string{"uid-d"}},
		{"ours changed", func() { handler.Updated(ours, ours) }, []string{"uid-d"}},
		{"ours becomes another daemon's", func() { handler.Updated(ours, changed(ours, ofAnother)) }, []string{"uid-d", "uid-other"}},
		{"ours becomes an orphan", func() { handler.Updated(ours, changed(ours, orphan)) }, []string{"uid-d", "uid-other"}},
		{"ours deleted", func() { handler.Deleted(ours) }, []string{"uid-d"}},
		{"ours deleted again", func() { handler.Deleted(ours) }, nil},
		{"an orphan", func() { handler.Added(free) }, []string{"uid-d"}},
		{"an orphan is adopted by another kind", func() {
			handler.Updated(free, changed(free, func(object *appsv1.ControllerRevision) { object.OwnerReferences = other.OwnerReferences }))
		}, []string{"uid-d"}},
		{"another owner's", func() { handler.Added(other) }, nil},
		{"another owner's deleted", func() { handler.Deleted(other) }, nil},
		{"one with our name", func() { handler.Added(named) }, []string{"uid-d"}},
		{"one with our name deleted", func() { handler.Deleted(named) }, []string{"uid-d"}},
	} {
		test.event()
		wantStrings(t, test.name, test.want, q.Looked())
	}
	handler.Deleted(free)
	handler.Deleted(early)
	for _, key := range []daemon.WorkloadKey{{Namespace: "ns", UID: "uid-d"}, {Namespace: "ns", UID: "uid-e"}, {Namespace: "elsewhere", UID: "uid-elsewhere"}, {Namespace: "ns", UID: "uid-leaving"}} {
		cluster.ForgetDaemon(key)
	}
	if size := cluster.Size(); size > 0 {
		t.Errorf("the state has %d entries", size)
	}
}
