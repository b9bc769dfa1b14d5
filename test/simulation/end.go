package simulation

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
)

// checkEnd checks the cluster after it has settled: every eligible node has one available pod of the present template (L1), and
// there are no others (L3).
func (c *Cluster) checkEnd() {
	sets := map[string]*v1alpha1.DaemonSet{}
	for _, stored := range c.sets() {
		set := fixture.FromStored(stored)
		sets[string(set.UID)] = set
		c.checkSet(set)
	}
	for _, pod := range c.pods() {
		owner, owned := daemon.OwnedByDaemon(pod)
		if owned && sets[string(owner.UID)] == nil {
			c.violated("L3: pod %s belongs to a DaemonSet that is gone", pod.Name)
		}
		if node, _ := daemon.Target(pod); owned && c.api.Get(history.Nodes, "", node) == nil {
			c.violated("L3: pod %s is for node %s, which is gone", pod.Name, node)
		}
	}
}

func (c *Cluster) checkSet(set *v1alpha1.DaemonSet) {
	id, err := daemon.Identify(fixture.Workload(set))
	if err != nil {
		panic(err)
	}
	rules := daemon.NewRules(&set.Spec.Template)
	if class, there := c.api.Get(history.RuntimeClasses, "", className).(*nodev1.RuntimeClass); there && !fixture.Native(set) {
		rules = rules.WithScheduling(&set.Spec.Template, class.Scheduling)
	}
	ready := 0
	for _, node := range listed[*corev1.Node](c, history.Nodes) {
		pods := c.podsIn(set, node)
		verdict := rules.Evaluate(node)
		switch {
		case verdict.ShouldRun && len(pods) != 1:
			c.violated("L1: %s has %d pods on node %s, want 1", set.Name, len(pods), node.Name)
		case verdict.ShouldRun:
			c.checkPod(set, id.Revision, node, pods[0])
			ready++
		case !verdict.ShouldContinue && len(pods) > 0:
			c.violated("L1: %s has pod %s on node %s: %s", set.Name, pods[0].Name, node.Name, verdict.Message)
		}
	}
	if status := set.Status; int(status.DesiredNumberScheduled) != ready || status.ObservedGeneration != set.Generation {
		c.violated("L1: the status of %s has %d nodes of generation %d, want %d of %d", set.Name, status.DesiredNumberScheduled, status.ObservedGeneration, ready, set.Generation)
	}
}

func (c *Cluster) checkPod(set *v1alpha1.DaemonSet, revision string, node *corev1.Node, pod *corev1.Pod) {
	onDelete := set.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	switch got := pod.Labels[revisionLabel]; {
	case !available(pod, set, c.clock.Now()):
		c.violated("L1: pod %s on node %s is not available", pod.Name, node.Name)
	case got != revision && !onDelete && !c.sameRecord(set, got, revision):
		c.violated("L1: pod %s on node %s has revision %s, want %s", pod.Name, node.Name, got, revision)
	}
}

// sameRecord reports whether a template is recorded with another revision than the one that it would get now.
func (c *Cluster) sameRecord(set *v1alpha1.DaemonSet, revision, want string) bool {
	return fixture.Native(set) && slices.ContainsFunc(listed[*appsv1.ControllerRevision](c, history.ControllerRevisions), func(record *appsv1.ControllerRevision) bool {
		return record.Labels[revisionLabel] == revision && record.Name != fmt.Sprintf("%s-%s", set.Name, want)
	})
}

// podsIn returns the pods of a DaemonSet on a node, bound or pinned.
func (c *Cluster) podsIn(set *v1alpha1.DaemonSet, node *corev1.Node) (pods []*corev1.Pod) {
	for _, pod := range c.pods() {
		if cell, ok := daemon.CellOf(pod); ok && cell.Owner == set.UID && cell.Node == node.Name {
			pods = append(pods, pod)
		}
	}
	return pods
}

// available reports whether a pod serves its node.
func available(pod *corev1.Pod, set *v1alpha1.DaemonSet, now time.Time) bool {
	if pod.Spec.NodeName == "" || finished(pod) {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return !condition.LastTransitionTime.Add(time.Duration(set.Spec.MinReadySeconds) * time.Second).After(now)
		}
	}
	return false
}
