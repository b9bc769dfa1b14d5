package simulation

import (
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// dedicated is the key of taints that users set.
const dedicated = "dedicated"

// appAnnotation remembers the label of a pod that lost it.
const appAnnotation = "simulation/app"

var strategies = []limits{{1, 0}, {2, 0}, {0, 1}, {0, 2}, {}}

func (c *Cluster) onSet(do func(client.Object)) {
	if sets := c.sets(); len(sets) > 0 {
		do(pick(c, sets))
	}
}

func (c *Cluster) onPod(do func(*corev1.Pod)) {
	if pods := c.pods(); len(pods) > 0 {
		do(pick(c, pods))
	}
}

func (c *Cluster) onNode(do func(*corev1.Node)) {
	if nodes := listed[*corev1.Node](c, history.Nodes); len(nodes) > 0 {
		do(pick(c, nodes))
	}
}

// restoreSets creates the DaemonSets that are missing, with names that existed before.
func (c *Cluster) restoreSets() {
	for _, set := range c.wanted {
		if c.api.Get(set.resource, namespace, set.name) == nil {
			c.addDaemon(set.name, set.resource == history.NativeDaemonSets, set.limits, set.change)
		}
	}
}

// setClass sets what the RuntimeClass requires of nodes.
func (c *Cluster) setClass(scheduling *nodev1.Scheduling) {
	c.note("the RuntimeClass excludes some nodes: %v", scheduling != nil)
	if stored := c.api.Get(history.RuntimeClasses, "", className); stored != nil {
		c.api.Change(stored, func(object client.Object) { object.(*nodev1.RuntimeClass).Scheduling = scheduling })
		return
	}
	c.create(&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: className}, Handler: "runc", Scheduling: scheduling})
}

func (c *Cluster) openClass() { c.setClass(nil) }

// changeQuota creates a quota, or changes or removes the one that exists.
func (c *Cluster) changeQuota() {
	const name = "quota"
	if stored := c.api.Get(memory.ResourceQuotas, namespace, name); stored != nil && c.chance(40) {
		c.dropQuotas()
		return
	}
	hard := corev1.ResourceList{corev1.ResourcePods: quantity(c.random.IntN(12)), "count/controllerrevisions.apps": quantity(1 + c.random.IntN(5))}
	pods, records := hard.Pods().Value(), hard["count/controllerrevisions.apps"]
	c.note("a quota permits %d pods and %d ControllerRevisions", pods, records.Value())
	if stored := c.api.Get(memory.ResourceQuotas, namespace, name); stored != nil {
		c.api.Change(stored, func(object client.Object) { object.(*corev1.ResourceQuota).Spec.Hard = hard })
	} else {
		c.create(&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: hard}})
	}
	c.api.SyncQuotas()
}

func (c *Cluster) dropQuotas() {
	for _, quota := range c.api.List(memory.ResourceQuotas) {
		c.note("quota %s is deleted", quota.GetName())
		c.api.Delete(quota, memory.Background)
	}
}
