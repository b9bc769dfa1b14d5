package scheduling

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Two schedulers are active at the same time, and each may not yet know what the other has bound. They maintain S1 for the
// controller's pods, and for twins of a controller that does not know of other pods: of several pending pods of a cell
// none is bound (TestTwinsOfTwoSchedulers).
func TestTwoActiveSchedulers(t *testing.T) {
	const nodes = 12
	names := labtest.NodeNames(nodes)
	c := labtest.Start(t, lab.Options{
		Nodes: nodes, Without: []string{lab.Scheduler, lab.Webhook}, Placement: lab.PlacementDirect,
		ExtraArgs: map[string][]string{lab.EverynodeScheduler: {alone}},
	})
	second, err := c.Replica(t.Context(), lab.EverynodeScheduler)
	c.Must(err)
	s := &stage{Cluster: c, owner: labtest.DaemonSet("twice")}

	witness := c.Watch()
	s.Make(s.owner)
	s.WaitForPods(s.owner, names...)
	const rollouts = 4
	for i := range rollouts {
		image := fmt.Sprintf("example.com/twice:%d", i)
		s.Must(s.Get(t.Context(), client.ObjectKeyFromObject(s.owner), s.owner))
		changed := s.owner.DeepCopy()
		changed.Spec.Template.Spec.Containers[0].Image = image
		s.Must(s.Patch(t.Context(), changed, client.MergeFrom(s.owner)))
		s.WaitForStatus(s.owner, func(status *v1alpha1.DaemonSetStatus) bool {
			return status.ObservedGeneration == changed.Generation && status.UpdatedNumberScheduled == nodes && status.NumberAvailable == nodes
		})
		s.WaitForPods(s.owner, names...)
	}
	for _, scheduler := range []*lab.Component{s.Component(lab.EverynodeScheduler), second} {
		bindings, err := s.metric(t.Context(), scheduler, "scheduler_schedule_attempts_total", `result="scheduled"`)
		s.Must(err)
		t.Logf("%s bound %v pods", scheduler.Name(), bindings)
		if bindings == 0 {
			t.Errorf("%s bound no pod: it was not active", scheduler.Name())
		}
	}
	twins(s, names)
	c.Verdict(witness, nodes*(rollouts+3))
}

// twins creates two pods of the daemon for each node at the same time, while it has none. When neither is bound, the
// controller has to delete one.
func twins(s *stage, nodes []string) {
	controller := s.Component(lab.Controller)
	s.Must(controller.Stop(s.T.Context()))
	s.Must(s.DeleteAllOf(s.T.Context(), &corev1.Pod{}, client.InNamespace(labtest.Namespace), client.MatchingLabels(s.owner.Labels), client.GracePeriodSeconds(0)))
	s.Eventually("no pod exists", func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, s.owner)
		if len(pods) > 0 {
			return fmt.Sprintf("%d are", len(pods)), err
		}
		return "", err
	})
	var makers sync.WaitGroup
	errs := make([]error, 2)
	for hand := range errs {
		makers.Go(func() {
			for _, node := range nodes {
				pod := s.daemonPod(fmt.Sprintf("%s-hand-%d", node, hand), node, func(pod *corev1.Pod) { pod.Labels = s.owner.Spec.Template.Labels })
				if err := s.Create(s.T.Context(), pod); err != nil {
					errs[hand] = err
					return
				}
			}
		})
	}
	makers.Wait()
	for _, err := range errs {
		s.Must(err)
	}
	waiting := 0
	s.Eventually("each node has a pod, or two that block each other", func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, s.owner)
		if err != nil {
			return "", err
		}
		on := map[string]int{}
		waiting = 0
		for i := range pods {
			switch said := message(&pods[i]); {
			case bound(&pods[i]):
				on[pods[i].Spec.NodeName]++
			case strings.Contains(said, "is pending for this node too"):
				waiting++
			case !strings.HasSuffix(said, " of the same DaemonSet."):
				return fmt.Sprintf("the message of pod %s is %q", pods[i].Name, said), nil
			}
		}
		if len(on)+waiting/2 < len(nodes) {
			return fmt.Sprintf("%d nodes have one, %d pods wait", len(on), waiting), nil
		}
		return "", nil
	})
	s.T.Logf("%d pods block each other", waiting)
	s.Must(controller.Restart(s.T.Context()))
	s.WaitForPods(s.owner, nodes...)
}
