package uniqueness

import (
	"testing"

	"k8s.io/klog/v2"

	"github.com/everynode/everynode/internal/hostile"
)

// The cost of an event of any pod for each waiting pod, both of the maximum size.
func BenchmarkHostileHint(b *testing.B) {
	plugin := &Uniqueness{}
	for _, kind := range hostile.Kinds() {
		waits := hostile.Pod(kind)
		gone := waits.DeepCopy()
		gone.Spec.NodeName = hostile.Node
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				_, _ = plugin.afterPodGone(klog.Background(), waits, gone, nil)
				_, _ = plugin.afterPodReleased(klog.Background(), waits, gone, gone)
			}
		})
	}
}
