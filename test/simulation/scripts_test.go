package simulation

import (
	"testing"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// Scripts of faults that random histories found. The choices that matter are made by the script, and all others by the
// seed; so it stays what it is when the random sequence changes.
func TestScripts(t *testing.T) {
	tests := map[string]func(*Cluster){
		// Its claim was only planned with the cell of its node, which does not exist.
		"a pod is relabelled and its node leaves while no controller runs": func(c *Cluster) {
			c.schedulers[0].frozen = true
			c.join("n03", 1)
			c.settle(calm)
			c.controllers[0].kill()
			for _, pod := range c.pods() {
				if pod.Spec.NodeName == "" {
					c.setLabel(pod, "app", "other")
				}
			}
			c.removeNode(c.api.Get(history.Nodes, "", "n03"))
			c.schedulers[0].frozen = false
		},
	}
	// The pods of a suspended DaemonSet end also when the controller stops in between; resumed, it has one on each node again.
	for name, resumed := range map[string]bool{"suspended": false, "suspended and resumed": true} {
		tests["a DaemonSet is "+name+" during a rollout"] = func(c *Cluster) {
			set := c.api.Get(history.DaemonSets, namespace, "d")
			c.setImage(set, "image:2")
			c.suspend(set, true)
			c.controllers[0].kill()
			c.controllers[0].start(1)
			if resumed {
				c.suspend(set, false)
			}
		}
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(1, model.Kinds{Everynode: true}, 1, 1)
			c.addNode()
			c.addNode()
			c.addDaemon("d", false, limits{unavailable: 1})
			c.controllers[0].start(0)
			c.settle(calm)
			c.mark(history.FaultBegins, name)
			script(c)
			if run := c.finish(); len(run.Violations) > 0 {
				t.Errorf("%v\n%s", run.Violations, run.Text())
			}
		})
	}
}
