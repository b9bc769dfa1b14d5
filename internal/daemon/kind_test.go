package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What differs between the kinds, each fact by its meaning.
func TestKinds(t *testing.T) {
	type facts struct {
		APIVersion                                                               string
		RuntimeClassJoins, BlocksNodes, ReportsWaiting, ConditionsHaveGeneration bool
		TemplateGeneration                                                       string
		RecordAnnotations                                                        map[string]string
	}
	annotations := map[string]string{"kubernetes.io/change-cause": "a fix", "deprecated.daemonset.template.generation": "7"}
	for kind, want := range map[Kind]facts{
		Everynode: {
			APIVersion: "everynode.dev/v1alpha1", RuntimeClassJoins: true, BlocksNodes: true, ReportsWaiting: true, ConditionsHaveGeneration: true,
			RecordAnnotations: map[string]string{"kubernetes.io/change-cause": "a fix"},
		},
		Apps: {APIVersion: "apps/v1", TemplateGeneration: "7", RecordAnnotations: annotations},
	} {
		t.Run(want.APIVersion, func(t *testing.T) {
			got := facts{
				APIVersion:               kind.GroupVersionKind().GroupVersion().String(),
				RuntimeClassJoins:        kind.RuntimeClassJoins(),
				BlocksNodes:              kind.BlocksNodes(),
				ReportsWaiting:           kind.ReportsWaiting(),
				ConditionsHaveGeneration: kind.observesGeneration(),
				TemplateGeneration:       kind.templateGeneration(annotations),
				RecordAnnotations:        kind.recordAnnotations("7", annotations),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("facts (-want, +got):\n%s", diff)
			}
			if kind.recordAnnotations("", nil) != nil {
				t.Error("a daemon without annotations has a record with some")
			}
			former := kind.recordAnnotations(want.TemplateGeneration, nil)
			if got := kind.templateGeneration(former); got != want.TemplateGeneration || len(former) > 1 {
				t.Errorf("the record of a former template has annotations %v", former)
			}
		})
	}
}

// A pod is found to be of a kind by its owner reference, in any version of the kind's group.
func TestKindOf(t *testing.T) {
	for _, kind := range kinds {
		w := makeWorkload(kind, corev1.PodTemplateSpec{}, nil)
		pod := NewPod(NewTemplate(w, "r"), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, "x")
		owner := ControllerOf(pod)
		if owner == nil || owner.UID != w.Key.UID || owner.Name != w.Name || KindOf(owner) != kind || !w.Controls(pod) {
			t.Errorf("%s: the owner is %+v", kind.GroupVersionKind(), owner)
		}
		if generation, has := pod.Labels["pod-template-generation"]; has != (kind == Apps) || has && generation != "7" {
			t.Errorf("%s: labels %v", kind.GroupVersionKind(), pod.Labels)
		}
	}
	for version, want := range map[string]Kind{"apps/v1beta2": Apps, "everynode.dev/v2": Everynode, "extensions/v1beta1": nil, "v1": nil, "apps": nil} {
		if got := KindOf(&metav1.OwnerReference{APIVersion: version, Kind: "DaemonSet"}); got != want {
			t.Errorf("a DaemonSet of %s has kind %v, want %v", version, got, want)
		}
	}
	if got := KindOf(&metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet"}); got != nil {
		t.Errorf("a ReplicaSet has kind %v", got)
	}
}
