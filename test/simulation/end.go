package simulation

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
)

// checkStatuses checks, after the cluster has settled, what the checker of histories does not judge: the status of each DaemonSet
// says what is stored.
func (c *Cluster) checkStatuses() {
	for _, stored := range c.sets() {
		c.checkStatus(stored)
	}
}

func (c *Cluster) checkStatus(stored client.Object) {
	set := fixture.FromStored(stored)
	rules := daemon.NewRules(&set.Spec.Template)
	if class, there := c.api.Get(history.RuntimeClasses, "", className).(*nodev1.RuntimeClass); there && !fixture.Native(set) {
		rules = rules.WithScheduling(&set.Spec.Template, class.Scheduling)
	}
	desired, served := 0, 0
	for _, node := range listed[*corev1.Node](c, history.Nodes) {
		if set.Spec.Suspend || !rules.Evaluate(node).ShouldRun {
			continue
		}
		desired++
		for _, pod := range c.pods() {
			if cell, ok := daemon.CellOf(pod); ok && cell.Owner == set.UID && cell.Node == node.Name && available(pod, set, c.clock.Now()) {
				served++
			}
		}
	}
	status := &set.Status
	if status.ObservedGeneration != set.Generation || int(status.DesiredNumberScheduled) != desired || int(status.NumberAvailable) != served {
		c.violated("the status of %s has %d desired and %d available of generation %d, there are %d and %d of %d", set.Name,
			status.DesiredNumberScheduled, status.NumberAvailable, status.ObservedGeneration, desired, served, set.Generation)
	}
}

// available reports whether a pod serves its node.
func available(pod *corev1.Pod, set *v1alpha1.DaemonSet, now time.Time) bool {
	if pod.Spec.NodeName == "" || finished(pod) || pod.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return !condition.LastTransitionTime.Add(time.Duration(set.Spec.MinReadySeconds) * time.Second).After(now)
		}
	}
	return false
}
