package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

func TestSeePodKeepsWhatCellsDependOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := fixture.DrawPod(t)
		before := pod.DeepCopy()
		got := everynodeOnly.ObservePod(pod)
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Fatalf("the pod changed:\n%s", diff)
		}
		wantCell, ours := everynodeOnly.cellOf(pod)
		if got.Cell() != wantCell || got.ours != ours {
			t.Fatalf("cell %v, %v, want %v, %v", got.Cell(), got.ours, wantCell, ours)
		}
		if ours {
			want := daemon.ObservePod(pod)
			want.Wait = daemon.ObserveWait(pod, wantCell.Node, placementsFor(pod))
			if diff := cmp.Diff(want, got.Pod); diff != "" {
				t.Fatalf("observed (-want, +got):\n%s", diff)
			}
		}
		node, hasNode := daemon.Target(pod)
		orphan := metav1.GetControllerOf(pod) == nil && pod.DeletionTimestamp == nil && hasNode
		if (got.orphanOn() != "") != orphan || orphan && got.orphanOn() != node {
			t.Fatalf("orphan on %q, want %v, %q", got.orphanOn(), orphan, node)
		}
		for _, name := range []string{"app", "controller-revision-hash", "other"} {
			want, has := pod.Labels[name]
			if !ours && !orphan {
				want, has = "", false
			}
			if value, found := got.labels().Lookup(name); value != want || found != has {
				t.Fatalf("label %s is %q, %v, want %q, %v", name, value, found, want, has)
			}
		}
		want := []string{pod.Namespace, pod.Name, string(pod.UID), pod.ResourceVersion}
		if diff := cmp.Diff(want, []string{got.GetNamespace(), got.GetName(), string(got.GetUID()), got.GetResourceVersion()}); diff != "" {
			t.Fatalf("namespace, name, UID and resourceVersion (-want, +got):\n%s", diff)
		}
	})
}
