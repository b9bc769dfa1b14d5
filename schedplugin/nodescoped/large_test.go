package nodescoped

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/everynode/everynode/internal/hostile"
	"github.com/everynode/everynode/internal/schedtest"
)

// No hint walks through a large pod: a waiting pod is woken by every event of its
// node, and by no other.
func TestHintsDoNotLookThroughLargePods(t *testing.T) {
	asked := 0
	hint := ofItsNode(func(klog.Logger, *corev1.Pod, any, any) (fwk.QueueingHint, error) {
		asked++
		return fwk.QueueSkip, nil
	})
	ordinary := schedtest.MakePod("p").Obj()
	for _, kind := range []string{"terms", "tolerations", "containers", "ports", "values"} {
		large := hostile.PodOf(kind, 1000)
		gone := large.DeepCopy()
		gone.Spec.NodeName = hostile.Node
		elsewhere := schedtest.MakePod("q").On("n2").Obj()
		tests := map[string]struct {
			waits, gone *corev1.Pod
			want        fwk.QueueingHint
		}{
			"a large pod waits, a pod of its node is deleted":     {large, schedtest.Twin("q").Obj(), fwk.Queue},
			"a large pod waits, a pod of another node is deleted": {large, elsewhere, fwk.QueueSkip},
			"a large pod of the node is deleted":                  {ordinary, gone, fwk.Queue},
		}
		for name, test := range tests {
			t.Run(kind+": "+name, func(t *testing.T) {
				if got, err := hint(klog.Background(), test.waits, test.gone, nil); got != test.want || err != nil {
					t.Errorf("hint = %v, %v, want %v", got, err, test.want)
				}
			})
		}
	}
	if asked > 0 {
		t.Errorf("the in-tree hint was called %d times for a large pod", asked)
	}
}

func BenchmarkHostileHint(b *testing.B) {
	hint := ofItsNode(func(klog.Logger, *corev1.Pod, any, any) (fwk.QueueingHint, error) { return fwk.QueueSkip, nil })
	for _, kind := range hostile.Kinds() {
		waits := hostile.Pod(kind)
		gone := waits.DeepCopy()
		gone.Spec.NodeName = hostile.Node
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				_, _ = hint(klog.Background(), waits, gone, nil)
			}
		})
	}
}
