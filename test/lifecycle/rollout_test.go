package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const rolloutNodes = 10

func TestRollout(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: rolloutNodes})
	witness := cluster.Watch()
	for name, test := range map[string]struct {
		rolling v1alpha1.RollingUpdateDaemonSet
		// wantServing is the minimum number of nodes with an available pod at any time; wantPods
		// is the maximum number of pods.
		wantServing, wantPods int
	}{
		"two unavailable":   {rolling: limits("2", "0"), wantServing: 8, wantPods: 10},
		"25% unavailable":   {rolling: limits("25%", "0"), wantServing: 7, wantPods: 10},
		"three nodes surge": {rolling: limits("0", "3"), wantServing: 10, wantPods: 13},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster.With(t)
			set := labtest.DaemonSet(fmt.Sprintf("rolling-%d", test.wantServing*100+test.wantPods), func(set *v1alpha1.DaemonSet) {
				set.Spec.UpdateStrategy.RollingUpdate = &test.rolling
			})
			c.Make(set)
			before := c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...)
			watch := startServing(c, set.DeepCopy()) // set itself is read again below
			setImage(c, set, "example.com/second")
			waitForUpdated(c, set)
			after := c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...)
			watch.end()
			for node, pod := range after {
				if pod.UID == before[node].UID || pod.Spec.Containers[0].Image != "example.com/second" {
					t.Errorf("node %s has pod %s with image %s, want a new one", node, pod.Name, pod.Spec.Containers[0].Image)
				}
			}
			if watch.serving < test.wantServing || watch.pods > test.wantPods {
				t.Errorf("at least %d nodes served and there were at most %d pods, want %d and %d (S4; %d observations)",
					watch.serving, watch.pods, test.wantServing, test.wantPods, watch.looks)
			}
		})
	}
	t.Run("a controller that crashes loses nothing", func(t *testing.T) { crashes(cluster.With(t)) })
	t.Run("OnDelete waits for the user", func(t *testing.T) { onDeleteWaits(cluster.With(t)) })
	t.Run("a suspended DaemonSet ends within its limits", func(t *testing.T) { suspends(cluster.With(t)) })
	cluster.Verdict(witness, 4*2*rolloutNodes)
}

func limits(unavailable, surge string) v1alpha1.RollingUpdateDaemonSet {
	maxUnavailable, maxSurge := intstr.Parse(unavailable), intstr.Parse(surge)
	return v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &maxUnavailable, MaxSurge: &maxSurge}
}

func setImage(c *labtest.Cluster, set *v1alpha1.DaemonSet, image string) {
	c.T.Helper()
	c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(set), set))
	changed := set.DeepCopy()
	changed.Spec.Template.Spec.Containers[0].Image = image
	c.Must(c.Patch(c.T.Context(), changed, client.MergeFrom(set)))
}

func waitForUpdated(c *labtest.Cluster, set *v1alpha1.DaemonSet) {
	c.T.Helper()
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.ObservedGeneration == set.Generation && status.UpdatedNumberScheduled == rolloutNodes && status.NumberAvailable == rolloutNodes
	})
}

// serving repeatedly observes how many nodes a daemon serves, how many pods it has, and how many others terminate.
type serving struct {
	serving, pods, ending, looks int

	stop context.CancelFunc
	done chan struct{}
}

func startServing(c *labtest.Cluster, set *v1alpha1.DaemonSet) *serving {
	ctx, cancel := context.WithCancel(c.T.Context())
	s := &serving{serving: rolloutNodes, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			pods, err := c.PodsOf(ctx, set)
			if err != nil {
				continue
			}
			nodes, alive, ending := map[string]bool{}, 0, 0
			for i := range pods {
				if pods[i].DeletionTimestamp != nil {
					ending++
					continue
				}
				alive++
				if lab.PodReady(&pods[i]) {
					nodes[pods[i].Spec.NodeName] = true
				}
			}
			s.serving, s.pods, s.looks = min(s.serving, len(nodes)), max(s.pods, alive), s.looks+1
			s.ending = max(s.ending, ending)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return s
}

func (s *serving) end() {
	s.stop()
	<-s.done
}

// A controller that is killed in the middle of a rollout, and restarted, finishes it within the
// limits: it derives its permits from the cluster, not from memory.
func crashes(c *labtest.Cluster) {
	rolling := limits("2", "0")
	set := labtest.DaemonSet("crashing", func(set *v1alpha1.DaemonSet) { set.Spec.UpdateStrategy.RollingUpdate = &rolling })
	c.Make(set)
	c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...)
	watch := startServing(c, set.DeepCopy())
	setImage(c, set, "example.com/second")
	c.Eventually("the rollout is in progress", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, set)
		for i := range pods {
			if pods[i].Spec.Containers[0].Image == "example.com/second" {
				return "", nil
			}
		}
		return "no new pod yet", err
	})
	c.Component(lab.Controller).Kill()
	c.Must(c.Component(lab.Controller).Restart(c.T.Context()))
	waitForUpdated(c, set)
	watch.end()
	if watch.serving < rolloutNodes-2 || watch.pods > rolloutNodes {
		c.T.Errorf("at least %d nodes served and there were at most %d pods, want %d and %d (S4)", watch.serving, watch.pods, rolloutNodes-2, rolloutNodes)
	}
}

func onDeleteWaits(c *labtest.Cluster) {
	set := labtest.DaemonSet("ondelete", func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	})
	c.Make(set)
	before := c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...)
	setImage(c, set, "example.com/second")
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.ObservedGeneration == set.Generation && status.UpdatedNumberScheduled == 0
	})
	first := before[lab.NodeName(0)]
	c.Must(c.Delete(c.T.Context(), &corev1.Pod{ObjectMeta: first.ObjectMeta}))
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.UpdatedNumberScheduled == 1 && status.NumberAvailable == rolloutNodes
	})
	for node, pod := range c.WaitForPods(set, labtest.NodeNames(rolloutNodes)...) {
		if replaced := pod.UID != before[node].UID; replaced != (node == first.Spec.NodeName) {
			c.T.Errorf("the pod on %s was replaced: %v", node, replaced)
		}
	}
}
