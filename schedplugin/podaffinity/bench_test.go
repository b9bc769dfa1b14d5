package podaffinity

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/everynode/everynode/internal/schedtest"
)

// A daemon's pod in a cluster of 1,000 nodes with 2,000 pods with anti-affinity to each other on their node.
func BenchmarkPlacing(b *testing.B) {
	var nodes []*corev1.Node
	var pods []*corev1.Pod
	for i := range 1000 {
		name := fmt.Sprintf("n%d", i)
		nodes = append(nodes, node(name, fmt.Sprintf("z%d", i%3)))
		for j := range 2 {
			app := fmt.Sprintf("app-%d", j)
			pods = append(pods, avoiding(pod(fmt.Sprintf("%s-%d", app, i)).Label("app", app).Node(name), corev1.LabelHostname, app).Obj())
		}
	}
	c := newCluster(b, nodes, pods, namespace("ns", "red"))
	all, err := c.nodes.NodeInfos().List()
	schedtest.Must(b, err)
	target, waiting, ctx := c.node(b, "n1"), pinned("n1").Obj(), schedtest.Quiet(b)

	for name, plugin := range map[string]inTree{"ours": c.ours, "upstream": c.upstreams} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				state := framework.NewCycleState()
				_, status := plugin.PreFilter(ctx, state, waiting, all)
				if !status.IsSuccess() && !status.IsSkip() {
					b.Fatal(status)
				}
				if status.IsSuccess() {
					status = plugin.Filter(ctx, state, waiting, target)
				}
				if status.IsRejected() {
					b.Fatal(status)
				}
			}
		})
	}
}
