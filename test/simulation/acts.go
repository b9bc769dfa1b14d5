package simulation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// An act is something that users, nodes, other programs or faults do to the cluster. It does nothing if it is not possible.
type act struct {
	name   string
	weight int
	do     func(*Cluster)
}

// acts are what a random run draws from. Each run has only some of them, so that some runs have much of one thing.
var acts = []act{
	{"template edits", 6, func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setImage(set, fmt.Sprintf("image:%d", 1+c.random.IntN(3))) })
	}},
	{"edits of the limits", 3, func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setLimits(set, pick(c, strategies)) })
	}},
	{"edits of minReadySeconds", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			seconds := pick(c, []int32{0, 5, 30})
			c.edit(set, fmt.Sprintf("minReadySeconds %d", seconds), func(spec *v1alpha1.DaemonSetSpec) { spec.MinReadySeconds = seconds })
		})
	}},
	{"edits of the history limit", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			limit := pick(c, []int32{0, 1, 10})
			c.edit(set, fmt.Sprintf("revisionHistoryLimit %d", limit), func(spec *v1alpha1.DaemonSetSpec) { spec.RevisionHistoryLimit = &limit })
		})
	}},
	{"edits of the node selector", 2, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			selector := pick(c, []map[string]string{nil, {"pool": "0"}, {"pool": "1"}})
			c.edit(set, fmt.Sprintf("nodeSelector %v", selector), func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.NodeSelector = selector })
		})
	}},
	{"edits of the tolerations", 2, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			tolerations := pick(c, [][]corev1.Toleration{nil, {{Key: dedicated, Operator: corev1.TolerationOpExists}}})
			c.edit(set, fmt.Sprintf("%d tolerations", len(tolerations)), func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.Tolerations = tolerations })
		})
	}},
	{"DaemonSets that are recreated", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			c.deleteSet(set, pick(c, []memory.Propagation{memory.Background, memory.Foreground, memory.Orphan}))
		})
	}},
	{"DaemonSets that come back", 3, (*Cluster).restoreSets},
	{"the emergency stop", 2, (*Cluster).toggleStop},
	{"deletions of pods", 3, func(c *Cluster) { c.onPod(c.deletePod) }},
	{"labels of pods", 2, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			if pod.Labels["app"] == "other" {
				c.setLabel(pod, "app", pod.Annotations[appAnnotation])
				return
			}
			c.api.Change(pod, func(object client.Object) {
				metav1.SetMetaDataAnnotation(&object.(*corev1.Pod).ObjectMeta, appAnnotation, pod.Labels["app"])
			})
			c.setLabel(pod, "app", "other")
		})
	}},
	{"nodes that join", 2, (*Cluster).addNode},
	{"nodes that leave", 2, func(c *Cluster) {
		if nodes := c.api.List(history.Nodes); len(nodes) > 2 {
			c.removeNode(pick(c, nodes))
		}
	}},
	{"nodes that are recreated", 2, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) {
			c.removeNode(node)
			c.join(node.Name, c.random.IntN(2))
		})
	}},
	{"taints", 3, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) {
			c.setTaint(node, dedicated, pick(c, []corev1.TaintEffect{"", "", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}))
		})
	}},
	{"labels of nodes", 3, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) { c.setLabel(node, "pool", fmt.Sprint(c.random.IntN(2))) })
	}},
	{"nodes that are not ready", 3, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) {
			if notReady(node) {
				c.setTaint(node, corev1.TaintNodeNotReady, "")
				return
			}
			c.setTaint(node, corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
			for _, pod := range c.pods() {
				if pod.Spec.NodeName == node.Name && isReady(pod) {
					c.setReady(pod, corev1.ConditionFalse)
				}
			}
		})
	}},
	{"changes of the RuntimeClass", 2, func(c *Cluster) {
		if c.chance(50) {
			c.openClass()
		} else {
			c.setClass(&nodev1.Scheduling{NodeSelector: map[string]string{"pool": "0"}})
		}
	}},
	{"pods that fail", 4, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			if pod.Spec.NodeName != "" && !finished(pod) {
				c.fail(pod, pick(c, []string{"OutOfcpu", "Evicted", "Error"}))
			}
		})
	}},
	{"pods that are not ready", 3, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			if isReady(pod) {
				c.note("pod %s is not ready", pod.Name)
				c.setReady(pod, corev1.ConditionFalse)
			}
		})
	}},
	{"edits of the gates", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			gates := pick(c, [][]corev1.PodSchedulingGate{nil, {{Name: foreignGate}}})
			c.edit(set, fmt.Sprintf("%d gates of others", len(gates)), func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.SchedulingGates = gates })
		})
	}},
	{"edits of the priority", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			name := pick(c, []string{"", className})
			c.edit(set, fmt.Sprintf("priorityClassName %q", name), func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.PriorityClassName = name })
		})
	}},
	{"a PriorityClass that comes and goes", 2, (*Cluster).togglePriorityClass},
	{"quotas", 2, (*Cluster).changeQuota},
	{"names that are taken", 2, (*Cluster).squat},
	{"pods that are forged", 1, func(c *Cluster) { c.forge(true) }},
	{"pods that look like a DaemonSet's", 1, func(c *Cluster) { c.forge(false) }},
	{"records that are spoiled", 2, (*Cluster).spoilRecord},
	{"finalizers", 2, func(c *Cluster) { c.onPod(c.hold) }},
	{"releases", 4, func(c *Cluster) { c.onPod(c.release) }},
	{"pods that are deleted by force", 2, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			c.deletePod(pod)
			c.api.Finish(pod)
		})
	}},
	{"labels of the namespace", 1, func(c *Cluster) {
		c.setLabel(c.api.Get(memory.Namespaces, "", namespace), "level", fmt.Sprint(c.random.IntN(2)))
	}},
	{"disruption budgets", 1, (*Cluster).addBudget},
	{"a policy that denies", 2, func(c *Cluster) { c.toggle("denies", c.denied) }},
	{"a policy that confines", 2, func(c *Cluster) { c.toggle("confines", c.confined) }},
}
