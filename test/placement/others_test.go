package placement

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// others creates pods that do not concern the webhook, one after the other (S7).
type others struct {
	c     *labtest.Cluster
	stop  context.CancelFunc
	ended sync.WaitGroup

	created int
	slowest time.Duration
	failed  []error
}

// createOthers starts. Most creates are dry runs, which admission treats like others.
func createOthers(c *labtest.Cluster) *others {
	ctx, stop := context.WithCancel(c.T.Context())
	o := &others{c: c, stop: stop}
	o.ended.Go(func() {
		for ctx.Err() == nil {
			for _, pod := range unrelated() {
				begun := time.Now()
				if err := c.Create(ctx, pod, client.DryRunAll); ctx.Err() != nil {
					return
				} else if err != nil {
					o.failed = append(o.failed, err)
				}
				o.created++
				o.slowest = max(o.slowest, time.Since(begun))
			}
			time.Sleep(10 * time.Millisecond) // other clients use the API server too
		}
	})
	return o
}

// check stops it: none may have failed.
func (o *others) check() {
	o.c.T.Helper()
	o.stop()
	o.ended.Wait()
	for _, err := range o.failed {
		o.c.T.Errorf("a pod that does not concern the webhook: %v", err)
	}
	if o.created == 0 {
		o.c.T.Error("no other pod was created, so the test proves nothing")
	}
	o.c.T.Logf("%d other pods were created meanwhile, the slowest within %v", o.created, o.slowest.Round(time.Millisecond))
	for _, pod := range unrelated() {
		o.c.Make(pod)
	}
}

// unrelated returns a pod for any scheduler, and one that names its node and does not opt in to placement.
func unrelated() []*corev1.Pod {
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/other"}}}
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, GenerateName: "plain-"}, Spec: spec}
	placed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, GenerateName: "placed-"}, Spec: spec}
	placed.Spec.NodeName = lab.NodeName(0)
	return []*corev1.Pod{plain, placed}
}
