package caches

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/everynode/everynode/controller/fixture"
)

// Only the fields of a node that TrimNode keeps are decoded, and nothing of its status.
func TestLeanNodeHasTheKeptFields(t *testing.T) {
	node := fixture.Node("n1", fixture.Labelled("a", "b"), func(node *corev1.Node) {
		node.ResourceVersion, node.Annotations = "7", map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		node.Spec = corev1.NodeSpec{Unschedulable: true, ProviderID: "p", Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}}
		node.Status.Capacity = corev1.ResourceList{"cpu": resource.MustParse("1")}
	})
	want, err := TrimNode(node)
	if err != nil {
		t.Fatal(err)
	}
	lean := decoded(t, encoded(t, runtime.ContentTypeProtobuf, node)).(*LeanNode)
	if lean.Status.Capacity != nil || lean.Spec.ProviderID != "" || lean.Annotations == nil {
		t.Errorf("decoded %+v", lean)
	}
	list := decoded(t, encoded(t, runtime.ContentTypeProtobuf, &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: "9"}, Items: []corev1.Node{*node}})).DeepCopyObject().(*LeanNodeList)
	if list.ResourceVersion != "9" || len(list.Items) != 1 {
		t.Fatalf("the list is %+v", list)
	}
	for name, object := range map[string]runtime.Object{
		"a node": lean, "its copy": lean.DeepCopyObject(), "of a list": &list.Items[0],
		"from JSON": decoded(t, encoded(t, runtime.ContentTypeJSON, node)),
	} {
		got, err := TrimNode(object)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-kept of the whole, +got):\n%s", name, diff)
		}
	}
}
