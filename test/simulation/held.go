package simulation

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// canaryLabel is the label by which rollouts select nodes.
const canaryLabel = "canary"

// Held runs a cluster that is determined by a seed, in which users change what a rollout holds back, while the template changes, nodes join,
// leave and are relabelled, pods die, and the controller restarts. In every second history nothing is held back in the end.
func Held(seed uint64) *Run {
	c := newCluster(seed, model.Kinds{Everynode: true}, 1, 1)
	c.journal.history.Title = fmt.Sprintf("rollouts that hold nodes back, seed %d", seed)
	for range 4 + c.random.IntN(3) {
		c.addNode()
	}
	c.addDaemon("d", false, limits{unavailable: 1 + int32(seed/2%2)}, func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = &v1alpha1.Rollout{} })
	c.controllers[0].start(0)
	c.settle(calm)
	c.mark(history.FaultBegins, "what is held back changes")
	for range rolloutSteps {
		switch n := c.random.IntN(1000); {
		case n < 60:
			pick(c, heldActs)(c)
		case n < 80:
			c.clock.Advance(pick(c, []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}))
		case n < 240:
			c.onPod(func(pod *corev1.Pod) { c.progress(pod) })
		default:
			c.step()
		}
	}
	if seed%2 == 0 {
		c.holdBack("nothing", func(rollout *v1alpha1.Rollout) { *rollout = v1alpha1.Rollout{} })
	}
	return c.finish()
}

// heldActs are what happens to a rollout.
var heldActs = []func(*Cluster){
	func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setImage(set, fmt.Sprintf("image:%d", 1+c.random.IntN(3))) })
	},
	func(c *Cluster) {
		paused := c.chance(40)
		c.holdBack(fmt.Sprintf("paused %v", paused), func(rollout *v1alpha1.Rollout) { rollout.Paused = paused })
	},
	func(c *Cluster) {
		partition := intstr.Parse(pick(c, []string{"0", "0", "0", "1", "2", "50%", "100%"}))
		c.holdBack("partition "+partition.String(), func(rollout *v1alpha1.Rollout) { rollout.Partition = &partition })
	},
	func(c *Cluster) {
		var selector *v1alpha1.RolloutNodeSelector
		if c.chance(70) {
			selector = &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{canaryLabel: "1"}}
		}
		c.holdBack(fmt.Sprintf("canaries only %v", selector != nil), func(rollout *v1alpha1.Rollout) { rollout.NodeSelector = selector })
	},
	func(c *Cluster) {
		to := pick(c, []v1alpha1.NewNodes{v1alpha1.NewNodesAuto, v1alpha1.NewNodesStable, v1alpha1.NewNodesUpdate})
		c.holdBack("newNodes "+string(to), func(rollout *v1alpha1.Rollout) { rollout.NewNodes = to })
	},
	func(c *Cluster) {
		var waves []v1alpha1.Wave
		if c.chance(40) {
			waves = pick(c, waveSets)
		}
		c.holdBack(fmt.Sprintf("%d waves", len(waves)), func(rollout *v1alpha1.Rollout) { rollout.Waves = waves })
	},
	(*Cluster).promote,
	func(c *Cluster) { c.clock.Advance(pick(c, []time.Duration{time.Minute, 4 * time.Minute})) },
	(*Cluster).relabelCanary,
	(*Cluster).relabelCanary,
	(*Cluster).relabelCanary,
	func(c *Cluster) { c.onPod(c.deletePod) },
	(*Cluster).toggleStop,
	(*Cluster).addNode,
	func(c *Cluster) {
		if nodes := c.api.List(history.Nodes); len(nodes) > 3 {
			c.removeNode(pick(c, nodes))
		}
	},
	func(c *Cluster) {
		c.controllers[0].kill()
		c.controllers[0].start(c.api.Revision())
	},
}

// relabelCanary makes a node a canary, or makes it one no longer.
func (c *Cluster) relabelCanary() {
	c.onNode(func(node *corev1.Node) { c.setLabel(node, canaryLabel, fmt.Sprint(c.random.IntN(2))) })
}

// waveSets are the waves that rollouts have.
var waveSets = [][]v1alpha1.Wave{
	{{Name: "canary", NodeSelector: &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{canaryLabel: "1"}}, Soak: "3m"}, {Name: "half", Nodes: ptr.To(intstr.FromString("50%"))}},
	{{Name: "one", Nodes: ptr.To(intstr.FromInt32(1)), Soak: "2m"}, {Name: "half", Nodes: ptr.To(intstr.FromString("50%")), Approval: true, MaxUnavailable: ptr.To(intstr.FromInt32(2))}},
	{{Name: "half", Nodes: ptr.To(intstr.FromString("50%")), Checks: []string{"smoke"}}, {Name: "all", Nodes: ptr.To(intstr.FromString("100%")), Soak: "1m"}},
}

// promote sets the verb, or the outcome of a check, of a wave or of all.
func (c *Cluster) promote() {
	c.onSet(func(set client.Object) {
		own, ok := set.(*v1alpha1.DaemonSet)
		if !ok || own.Status.Rollout == nil {
			return
		}
		revision, wave := own.Status.Rollout.UpdateRevision, pick(c, []string{"one", "half", "canary"})
		name, value := v1alpha1.PromoteAnnotation, pick(c, []string{revision, revision + "/" + wave, revision + "/" + wave})
		if c.chance(40) {
			name, value = v1alpha1.CheckAnnotationPrefix+"smoke", revision+"/half/"+pick(c, []string{"Passed", "Failed"})
		}
		c.mark(history.Edited, fmt.Sprintf("a user annotates DaemonSet %s: %s: %s", set.GetName(), name, value))
		c.api.Change(set, func(object client.Object) {
			annotations := maps.Clone(object.GetAnnotations())
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[name] = value
			object.SetAnnotations(annotations)
		})
	})
}

// holdBack edits spec.rollout.
func (c *Cluster) holdBack(what string, change func(*v1alpha1.Rollout)) {
	c.onSet(func(set client.Object) {
		c.edit(set, "rollout: "+what, func(spec *v1alpha1.DaemonSetSpec) {
			rollout := v1alpha1.Rollout{}
			if spec.Rollout != nil {
				rollout = *spec.Rollout
			}
			change(&rollout)
			spec.Rollout = &rollout
		})
	})
}
