package daemon

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestSlotOf(t *testing.T) {
	made := func(slot int, change func(*corev1.Pod)) *corev1.Pod {
		yes := true
		template := &Template{Namespace: "ns", Name: "d", Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "DaemonSet", Name: "d", UID: "u", Controller: &yes,
		}}
		pod := NewPod(template, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, slot, "")
		if change != nil {
			change(pod)
		}
		return pod
	}
	pinned := func(pod *corev1.Pod) {
		if _, err := Rewrite(pod, v1alpha1.PlacedByWebhook); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want int
	}{
		"first":                   {pod: made(0, pinned), want: 0},
		"second":                  {pod: made(1, pinned), want: 1},
		"bound":                   {pod: made(1, nil), want: 1},
		"named by hand":           {pod: made(0, func(pod *corev1.Pod) { pod.Name = "by-hand" }), want: NoSlot},
		"of another node":         {pod: made(0, func(pod *corev1.Pod) { pod.Spec.NodeName = "n2" }), want: NoSlot},
		"nobody's":                {pod: made(0, func(pod *corev1.Pod) { pod.OwnerReferences = nil }), want: NoSlot},
		"for no node":             {pod: made(0, func(pod *corev1.Pod) { pod.Spec.NodeName = "" }), want: NoSlot},
		"native, though so named": {pod: made(0, func(pod *corev1.Pod) { pod.OwnerReferences[0].APIVersion = "apps/v1" }), want: NoSlot},
		"native, of old":          {pod: made(0, func(pod *corev1.Pod) { pod.OwnerReferences[0].APIVersion = "apps/v1beta2" }), want: NoSlot},
		"a third is not there":    {pod: made(2, nil), want: NoSlot},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := slotOf(test.pod); got != test.want {
				t.Errorf("slotOf(%s) = %d, want %d", test.pod.Name, got, test.want)
			}
		})
	}
}
