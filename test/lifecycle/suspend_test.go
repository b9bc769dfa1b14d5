package lifecycle

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/labtest"
)

// A suspended DaemonSet loses its pods within maxUnavailable, and has one on every node again when it is resumed.
func suspends(c *labtest.Cluster) {
	set := labtest.DaemonSet("suspended", func(set *v1alpha1.DaemonSet) {
		rolling := limits("2", "0")
		set.Spec.UpdateStrategy.RollingUpdate = &rolling
	})
	c.Make(set)
	c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool { return status.NumberAvailable == rolloutNodes })
	watch := startServing(c, set.DeepCopy())
	suspend(c, set, true)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		progressing := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
		return status.ObservedGeneration == set.Generation && status.DesiredNumberScheduled == 0 && status.NumberMisscheduled == 0 &&
			meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionAvailable) && progressing.Reason == v1alpha1.ReasonSuspended
	})
	c.WaitForPods(set)
	if watch.end(); watch.ending > 2 || watch.ending == 0 {
		c.T.Errorf("up to %d pods terminated at a time, want 1 or 2 (%d observations)", watch.ending, watch.looks)
	}
	suspend(c, set, false)
	c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...)
}

func suspend(c *labtest.Cluster, set *v1alpha1.DaemonSet, suspended bool) {
	c.T.Helper()
	c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(set), set))
	changed := set.DeepCopy()
	changed.Spec.Suspend = suspended
	c.Must(c.Patch(c.T.Context(), changed, client.MergeFrom(set)))
	*set = *changed
}
