// Package bench measures Everynode on a lab. Benchmarks report; they never fail on time.
package bench

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const nodes = 50

// BenchmarkLabStart measures the start of a control plane with 50 Ready nodes.
func BenchmarkLabStart(b *testing.B) {
	for b.Loop() {
		l, err := lab.New(b.Context(), lab.Options{Nodes: nodes})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := l.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkComplete measures the time from the creation of a DaemonSet to a Ready pod on each of 50
// nodes; "written" is the time until the status reports it.
func BenchmarkComplete(b *testing.B) {
	c := labtest.Start(b, lab.Options{Nodes: nodes})
	var written time.Duration
	for b.Loop() {
		set := labtest.DaemonSet("complete")
		begun := time.Now()
		c.Must(c.Create(b.Context(), set))
		c.WaitForPods(set, labtest.NodeNames(nodes)...)
		b.StopTimer()
		c.Eventually("the status counts every pod", func(ctx context.Context) (string, error) {
			if err := c.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil || set.Status.NumberReady != nodes {
				return "not yet", err
			}
			return "", nil
		})
		written += time.Since(begun)
		c.Must(c.Delete(b.Context(), set, client.PropagationPolicy(metav1.DeletePropagationBackground)))
		c.WaitForPods(set)
		b.StartTimer()
	}
	b.ReportMetric(written.Seconds()/float64(b.N), "s-to-status/op")
}
