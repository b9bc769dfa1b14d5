package simulation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// failingFor is how long the pods of a node fail, which covers the back-off up to its longest wait several times.
const failingFor = 3 * time.Hour

// mostFailingWrites is far more than back-off allows in that time; a run that writes more is in a hot loop, and ends.
const mostFailingWrites = 1000

// Failing runs a cluster that is determined by a seed, in which all pods of one node fail (S8).
func Failing(seed uint64) *Run {
	kinds := []model.Kinds{{Everynode: true}, {Apps: true}, {Everynode: true, Apps: true}}[seed%3]
	c := newCluster(seed, kinds, 1, 1)
	c.journal.history.Title = fmt.Sprintf("a node whose pods fail, seed %d", seed)
	defer c.end()
	c.populate()
	broken := listed[*corev1.Node](c, history.Nodes)[0].Name
	c.journal.record(history.Record{At: c.clock.Now(), Mark: &history.Mark{Kind: history.Broken, Name: broken}})
	for until := c.clock.Now().Add(failingFor); c.clock.Now().Before(until) && c.journal.writes < mostFailingWrites; {
		for range 1000 {
			if !c.step() {
				break
			}
		}
		for _, pod := range c.pods() {
			if pod.Spec.NodeName == broken && pod.DeletionTimestamp == nil && !finished(pod) {
				c.fail(pod, "OutOfcpu")
			} else {
				c.progress(pod)
			}
		}
		c.clock.Advance(c.due(tick))
	}
	return c.result()
}
