package scheduling

import (
	"context"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Only one of two schedulers is active. On a graceful stop it releases the lease, so that the other one need
// not wait until it expires; after a kill the other one acquires the expired lease. Pods that were created
// meanwhile are bound by the new leader, each once.
func TestHandOver(t *testing.T) {
	const nodes = 8
	s := newStage(t, lab.Options{
		Nodes: nodes, Placement: lab.PlacementDirect, Without: []string{lab.Scheduler, lab.Controller},
	})
	names := labtest.NodeNames(nodes)
	witness := s.Watch()
	first := s.Component(lab.EverynodeScheduler)
	s.leads(first)
	second, err := s.Replica(t.Context(), lab.EverynodeScheduler)
	s.Must(err)
	s.placed(s.podsFor("before", names)...)
	s.standsBy(second)

	// The other one is paused, so that it cannot acquire the released lease at once.
	s.Must(second.Pause())
	s.Must(first.Stop(t.Context()))
	if holder := s.holder(); holder != "" {
		t.Errorf("the lease is held by %q after its holder stopped, want it released", holder)
	}
	between := s.with(t, "between").podsFor("between", names)
	s.make(between...)
	begun := time.Now()
	s.Must(second.Resume())
	s.bound(between)
	t.Logf("released: bound by the other within %.1f s", time.Since(begun).Seconds())
	s.leads(second)

	s.Must(first.Restart(t.Context()))
	s.standsBy(first)
	after := s.with(t, "after").podsFor("after", names)
	second.Kill()
	begun = time.Now()
	s.make(after...)
	s.bound(after)
	t.Logf("killed: bound by the other within %.1f s", time.Since(begun).Seconds())
	s.leads(first)
	s.Verdict(witness, 3*nodes)
}

// podsFor returns pods of the stage's daemon, one for each node.
func (s *stage) podsFor(prefix string, nodes []string) []*corev1.Pod {
	pods := make([]*corev1.Pod, len(nodes))
	for i, node := range nodes {
		pods[i] = s.daemonPod(prefix+"-"+node, node)
	}
	return pods
}

func (s *stage) bound(pods []*corev1.Pod) {
	s.T.Helper()
	for _, pod := range pods {
		s.waitUntil(pod, "bound", bound)
	}
}

// leads waits until a scheduler's metric reports that it leads.
func (s *stage) leads(scheduler *lab.Component) {
	s.T.Helper()
	s.Eventually(scheduler.Name()+" leads", func(ctx context.Context) (string, error) {
		leads, err := s.metric(ctx, scheduler, "leader_election_master_status")
		if err != nil || leads != 1 {
			return fmt.Sprintf("its metric is %v", leads), err
		}
		return "", nil
	})
}

// standsBy verifies that a scheduler does not lead and has tried no pod.
func (s *stage) standsBy(scheduler *lab.Component) {
	s.T.Helper()
	for _, metric := range []string{"leader_election_master_status", "scheduler_schedule_attempts_total"} {
		value, err := s.metric(s.T.Context(), scheduler, metric)
		s.Must(err)
		if value != 0 {
			s.T.Errorf("%s: %s is %v while the other leads, want 0", scheduler.Name(), metric, value)
		}
	}
}

// holder returns the holder of the lease.
func (s *stage) holder() string {
	s.T.Helper()
	lease := &coordinationv1.Lease{}
	s.Must(s.Get(s.T.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.SchedulerName}, lease))
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
