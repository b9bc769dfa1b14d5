package simulation

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// limits are those of a rollout, in nodes; both are 0 for OnDelete.
type limits struct{ unavailable, surge int32 }

// addDaemon creates a DaemonSet, of apps/v1 or of everynode.dev.
func (c *Cluster) addDaemon(name string, native bool, strategy limits, change ...func(*v1alpha1.DaemonSet)) {
	set := fixture.Daemon(name, change...)
	set.Namespace, set.UID = namespace, ""
	set.Spec.UpdateStrategy = strategy.spec()
	if native {
		fixture.NativeKind(set)
	}
	c.note("a user creates DaemonSet %s (native: %v, maxUnavailable %d, maxSurge %d)", name, native, strategy.unavailable, strategy.surge)
	c.create(fixture.Stored(set))
}

func (l limits) spec() v1alpha1.DaemonSetUpdateStrategy {
	if l == (limits{}) {
		return fixture.OnDelete
	}
	surge, unavailable := intstr.FromInt32(l.surge), intstr.FromInt32(l.unavailable)
	return v1alpha1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxSurge: &surge, MaxUnavailable: &unavailable},
	}
}

// edit changes the spec of a DaemonSet of either kind.
func (c *Cluster) edit(set client.Object, what string, change func(*v1alpha1.DaemonSetSpec)) {
	c.mark(history.Edited, fmt.Sprintf("a user edits DaemonSet %s: %s", set.GetName(), what))
	c.api.Change(set, func(object client.Object) {
		if own, ok := object.(*v1alpha1.DaemonSet); ok {
			change(&own.Spec)
			return
		}
		native := object.(*appsv1.DaemonSet)
		same := v1alpha1.DaemonSetSpec{
			Selector: native.Spec.Selector, Template: native.Spec.Template, MinReadySeconds: native.Spec.MinReadySeconds, RevisionHistoryLimit: native.Spec.RevisionHistoryLimit,
			UpdateStrategy: v1alpha1.DaemonSetUpdateStrategy{Type: native.Spec.UpdateStrategy.Type, RollingUpdate: (*v1alpha1.RollingUpdateDaemonSet)(native.Spec.UpdateStrategy.RollingUpdate)},
		}
		change(&same)
		native.Spec.Template, native.Spec.MinReadySeconds, native.Spec.RevisionHistoryLimit = same.Template, same.MinReadySeconds, same.RevisionHistoryLimit
		native.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: same.UpdateStrategy.Type, RollingUpdate: (*appsv1.RollingUpdateDaemonSet)(same.UpdateStrategy.RollingUpdate)}
	})
}

func (c *Cluster) setImage(set client.Object, image string) {
	c.edit(set, "image "+image, func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.Containers[0].Image = image })
}

func (c *Cluster) setLimits(set client.Object, to limits) {
	c.edit(set, fmt.Sprintf("maxUnavailable %d, maxSurge %d", to.unavailable, to.surge), func(spec *v1alpha1.DaemonSetSpec) { spec.UpdateStrategy = to.spec() })
}

func (c *Cluster) suspend(set client.Object, suspended bool) {
	c.edit(set, fmt.Sprintf("suspend %v", suspended), func(spec *v1alpha1.DaemonSetSpec) { spec.Suspend = suspended })
}

func (c *Cluster) deleteSet(set client.Object, how memory.Propagation) {
	c.mark(history.Edited, fmt.Sprintf("a user deletes DaemonSet %s, propagation %s", set.GetName(), []string{"Background", "Foreground", "Orphan"}[how]))
	c.api.Delete(set, how)
}

// addNode adds a node. Every second one has label pool=0, the others pool=1.
func (c *Cluster) addNode() {
	c.nodes++
	c.join(fmt.Sprintf("n%02d", c.nodes), c.nodes)
}

func (c *Cluster) join(name string, pool int) {
	c.note("node %s joins", name)
	node := fixture.Node(name, fixture.Labelled("pool", fmt.Sprint(pool%2)))
	node.UID = ""
	c.create(node)
}

func (c *Cluster) removeNode(node client.Object) {
	c.note("node %s leaves", node.GetName())
	c.api.Delete(node, memory.Background)
}

// setTaint sets the only taint with a key, or removes it if there is no effect.
func (c *Cluster) setTaint(node client.Object, key string, effect corev1.TaintEffect) {
	c.note("node %s has taint %s:%s", node.GetName(), key, string(effect))
	c.api.Change(node, func(object client.Object) {
		spec := &object.(*corev1.Node).Spec
		var taints []corev1.Taint
		for _, taint := range spec.Taints {
			if taint.Key != key {
				taints = append(taints, taint)
			}
		}
		if effect != "" {
			taints = append(taints, corev1.Taint{Key: key, Effect: effect})
		}
		spec.Taints = taints
	})
}

func (c *Cluster) setLabel(object client.Object, key, value string) {
	c.note("%s %s has label %s=%s", string(memory.ResourceOf(object)), object.GetName(), key, value)
	c.api.Change(object, func(object client.Object) {
		labels := map[string]string{}
		for k, v := range object.GetLabels() {
			labels[k] = v
		}
		labels[key] = value
		object.SetLabels(labels)
	})
}

func (c *Cluster) deletePod(pod *corev1.Pod) {
	c.note("a user deletes pod %s", pod.Name)
	c.api.Delete(pod, memory.Background)
}
