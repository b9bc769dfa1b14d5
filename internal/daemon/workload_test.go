package daemon

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/randfill"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A DaemonSet of either kind is written back as it was read, except for its status. That includes fields that a later
// version of Kubernetes brings.
func TestWorkloadsLoseNothing(t *testing.T) {
	fill := randfill.NewWithSeed(1).NilChance(0.2).NumElements(1, 2).MaxDepth(8).Funcs(
		func(*runtime.RawExtension, randfill.Continue) {},
	)
	for range 50 {
		apps, everynode := &appsv1.DaemonSet{}, &v1alpha1.DaemonSet{}
		fill.Fill(apps)
		fill.Fill(everynode)
		for _, test := range []struct {
			stored   Object
			workload *Workload
		}{{apps, FromApps(apps)}, {everynode, FromEverynode(everynode)}} {
			before := test.stored.DeepCopyObject()
			w := test.workload
			if diff := cmp.Diff(before, w.WithStatus(&w.Status).(runtime.Object), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("what comes back (-want, +got):\n%s", diff)
			}
			w.WithStatus(&v1alpha1.DaemonSetStatus{}).SetLabels(nil)
			if diff := cmp.Diff(before, test.stored.(runtime.Object)); diff != "" {
				t.Fatalf("the stored object changed:\n%s", diff)
			}
		}
	}
}

// A workload is the same whichever kind its DaemonSet has.
func TestWorkloadOfEitherKind(t *testing.T) {
	limit, one := int32(3), int32(1)
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "d", UID: "uid-d", Generation: 4, ResourceVersion: "9", DeletionTimestamp: &metav1.Time{Time: t0},
			Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
		},
		Spec: v1alpha1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d"}}, MinReadySeconds: 7, RevisionHistoryLimit: &limit,
			Template:       corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "d"}}},
			UpdateStrategy: v1alpha1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType},
		},
		Status: v1alpha1.DaemonSetStatus{NumberReady: 2, CollisionCount: &one},
	}
	for _, got := range []*Workload{FromEverynode(set), FromApps(set.ToApps())} {
		want := &Workload{
			Kind: got.Kind, Key: WorkloadKey{"ns", "uid-d"}, Name: "d", Generation: 4, Terminating: true,
			Labels: set.Labels, Annotations: set.Annotations, Selector: set.Spec.Selector, Template: &set.Spec.Template,
			Strategy: NewStrategy(&set.Spec.UpdateStrategy), MinReady: 7 * time.Second, HistoryLimit: 3, Status: set.Status,
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Workload{})); diff != "" {
			t.Errorf("%s (-want, +got):\n%s", got.Kind.GroupVersionKind(), diff)
		}
		if got.Collisions() != 1 {
			t.Errorf("%d collisions", got.Collisions())
		}
		about := got.Metadata()
		if about.GroupVersionKind() != got.Kind.GroupVersionKind() || about.Namespace != "ns" || about.Name != "d" || about.UID != "uid-d" || about.ResourceVersion != "" {
			t.Errorf("metadata %+v", about)
		}
	}
	if w := FromApps(&appsv1.DaemonSet{}); w.HistoryLimit != 10 || w.Collisions() != 0 || w.Terminating {
		t.Errorf("defaults: %+v", w)
	}
}

// The status of a patch is in the form of the kind: conditions of apps/v1 have no observedGeneration.
func TestStatusPatch(t *testing.T) {
	set := &v1alpha1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d", UID: "uid-d", ResourceVersion: "7", Generation: 4}}
	for _, w := range []*Workload{FromEverynode(set), FromApps(set.ToApps())} {
		status := UnservedStatus(w, Problem{Reason: "R", Message: "m"}, t0)
		patch, err := w.StatusPatch(&status)
		if err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Metadata map[string]string
			Status   struct {
				ObservedGeneration int64
				Conditions         []map[string]any
			}
		}
		if err := json.Unmarshal(patch, &sent); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"uid": "uid-d", "resourceVersion": "7"}, sent.Metadata); diff != "" || sent.Status.ObservedGeneration != 4 || len(sent.Status.Conditions) != 4 {
			t.Errorf("patch %s:\n%s", patch, diff)
		}
		for _, condition := range sent.Status.Conditions {
			if _, has := condition["observedGeneration"]; has != (w.Kind == Everynode) {
				t.Errorf("%s: condition %v", w.Kind.GroupVersionKind(), condition)
			}
		}
	}
}
