package caches

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// Of a node's status the decoder keeps only what is read, and the facts are the same as those of the whole status.
func TestLeanNodeHasTheFacts(t *testing.T) {
	node := fixture.Node("n1", fixture.Labelled("zone", "a"), func(node *corev1.Node) {
		node.Status = corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3500m")},
			Capacity:    corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue},
				{Type: corev1.NodeDrained, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(fixture.T0)},
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(fixture.T0)},
			},
			NodeInfo: corev1.NodeSystemInfo{BootID: "boot-1"},
			Images:   []corev1.ContainerImage{{Names: []string{"image:1"}}},
		}
	})
	raw, err := node.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, reads := range map[string]daemon.Reads{
		"nothing": {}, "readiness": {Readiness: true}, "lifecycle": {Lifecycle: true}, "boot id": {BootID: true}, "allocatable": {Allocatable: true},
		"all": {Readiness: true, Lifecycle: true, BootID: true, Allocatable: true},
	} {
		t.Run(name, func(t *testing.T) {
			var lean LeanNode
			if err := lean.decode(raw, leanNodeStatus(reads)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(daemon.ObserveNode(node, reads), daemon.ObserveNode(&lean.Node, reads)); diff != "" {
				t.Errorf("facts (-of the whole, +of what is decoded):\n%s", diff)
			}
			if lean.Status.Images != nil || lean.Status.Capacity != nil || !reads.Allocatable && lean.Status.Allocatable != nil {
				t.Errorf("decoded %+v", lean.Status)
			}
		})
	}
}
