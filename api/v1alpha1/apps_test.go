package v1alpha1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/randfill"
)

// Every field of a native DaemonSet survives the round trip, including fields of later versions.
func TestAppsRoundTrip(t *testing.T) {
	fill := randfill.NewWithSeed(1).NilChance(0.2).NumElements(1, 2).MaxDepth(8).Funcs(
		func(*runtime.RawExtension, randfill.Continue) {},
	)
	for range 50 {
		want := &appsv1.DaemonSet{}
		fill.Fill(want)
		want.SetGroupVersionKind(AppsDaemonSetKind)
		set := FromApps(want)
		if !set.Native() || set.GVK() != AppsDaemonSetKind {
			t.Fatalf("a native DaemonSet is a %s", set.GVK())
		}
		got := set.ToApps()
		if len(want.Status.Conditions) == 0 {
			got.Status.Conditions = want.Status.Conditions // nil or empty
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("after the round trip (-want, +got):\n%s", diff)
		}
	}
}

func TestKinds(t *testing.T) {
	if own := (&DaemonSet{}); own.Native() || own.GVK() != DaemonSetKind {
		t.Errorf("a DaemonSet of everynode.dev is a %s", own.GVK())
	}
}
