package simulation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// Deaths runs a cluster that is determined by a seed, in which nodes die and return during rollouts, alone, in groups, and again and again, while
// the template and spec.rollout.deadNodes change and the controller restarts. In every second history those that are dead stay so.
func Deaths(seed uint64) *Run {
	c := newCluster(seed, model.Kinds{Everynode: true}, 1, 1)
	c.journal.history.Title = fmt.Sprintf("nodes die, seed %d", seed)
	for range 5 + c.random.IntN(4) {
		c.addNode()
	}
	share := intstr.Parse(pick(c, []string{"25%", "50%", "100%", "2"}))
	c.addDaemon("d", false, pick(c, strategies[:4]), func(set *v1alpha1.DaemonSet) {
		set.Spec.Rollout = &v1alpha1.Rollout{DeadNodes: &v1alpha1.DeadNodes{MaxShare: &share}}
	})
	c.controllers[0].start(0)
	c.settle(calm)
	c.mark(history.FaultBegins, "nodes die and return")
	for range rolloutSteps {
		switch n := c.random.IntN(1000); {
		case n < 50:
			pick(c, deaths)(c)
		case n < 90:
			c.clock.Advance(pick(c, []time.Duration{100 * time.Millisecond, time.Second, 20 * time.Second, 70 * time.Second}))
		case n < 240:
			c.onPod(func(pod *corev1.Pod) { c.progress(pod) })
		default:
			c.step()
		}
	}
	c.deadStay = seed%2 == 0
	c.holdBack("nothing", func(rollout *v1alpha1.Rollout) { rollout.Paused, rollout.Partition = false, nil })
	return c.finish()
}

// deaths are what happens in these histories.
var deaths = []func(*Cluster){
	func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setImage(set, fmt.Sprintf("image:%d", 1+c.random.IntN(3))) })
	},
	func(c *Cluster) { c.onNode(c.die) },
	func(c *Cluster) { c.onNode(c.die) },
	func(c *Cluster) { // an outage
		for _, node := range listed[*corev1.Node](c, history.Nodes) {
			if c.chance(30) {
				c.die(node)
			}
		}
	},
	(*Cluster).returnSome,
	(*Cluster).returnSome,
	func(c *Cluster) {
		c.holdBack("deadNodes", func(rollout *v1alpha1.Rollout) {
			dead := v1alpha1.DeadNodes{AfterSeconds: pick(c, []int32{10, 60}), Policy: pick(c, []v1alpha1.DeadNodePolicy{"", v1alpha1.DeadNodesExclude, v1alpha1.DeadNodesExclude, v1alpha1.DeadNodesCount})}
			if rollout.DeadNodes != nil {
				dead.MaxShare = rollout.DeadNodes.MaxShare
			}
			rollout.DeadNodes = &dead
		})
	},
	func(c *Cluster) {
		partition := intstr.Parse(pick(c, []string{"0", "2", "50%"}))
		c.holdBack("partition "+partition.String(), func(rollout *v1alpha1.Rollout) { rollout.Partition = &partition })
	},
	func(c *Cluster) {
		paused := c.chance(30)
		c.holdBack(fmt.Sprintf("paused %v", paused), func(rollout *v1alpha1.Rollout) { rollout.Paused = paused })
	},
	func(c *Cluster) { c.onPod(c.deletePod) },
	func(c *Cluster) {
		c.controllers[0].kill()
		c.controllers[0].start(c.api.Revision())
	},
}

// die has a node turn not Ready. Its pods do too: the kubelet, or the node lifecycle controller, says so before or after.
func (c *Cluster) die(node *corev1.Node) {
	if isDown(node) {
		return
	}
	first := c.chance(30)
	if first {
		c.fade(node, 90)
	}
	c.turn(node, pick(c, []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionUnknown}))
	if !first {
		c.fade(node, 90)
	}
}

// fade has this many in a hundred pods of a node turn not ready.
func (c *Cluster) fade(node *corev1.Node, percent int) {
	for _, pod := range c.pods() {
		if pod.Spec.NodeName == node.Name && isReady(pod) && c.chance(percent) {
			c.setReady(pod, corev1.ConditionFalse)
		}
	}
}

// comeBack has a node that is down return, or all of its pods turn not ready if it stays so.
func (c *Cluster) comeBack(node *corev1.Node) {
	switch {
	case !isDown(node):
	case c.deadStay:
		c.fade(node, 100)
	default:
		c.turn(node, corev1.ConditionTrue)
	}
}

// returnSome has nodes return.
func (c *Cluster) returnSome() {
	for _, node := range listed[*corev1.Node](c, history.Nodes) {
		if isDown(node) && c.chance(60) {
			c.turn(node, corev1.ConditionTrue)
		}
	}
}

// turn changes the condition Ready of a node.
func (c *Cluster) turn(node *corev1.Node, ready corev1.ConditionStatus) {
	c.note("the condition Ready of node %s is %s", node.Name, string(ready))
	c.api.Change(node, func(object client.Object) {
		object.(*corev1.Node).Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, LastTransitionTime: metav1.NewTime(c.clock.Now())}}
	})
}

// isDown reports whether a node says that it is not Ready.
func isDown(node *corev1.Node) bool {
	for i := range node.Status.Conditions {
		if condition := &node.Status.Conditions[i]; condition.Type == corev1.NodeReady {
			return condition.Status != corev1.ConditionTrue
		}
	}
	return false
}
