package scheduling

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
)

// crowding is a node full of pods of low priority that default-scheduler placed, with more
// of them waiting than one eviction makes room for, so that one of them takes any free room. They
// behave like those of a Deployment, which replaces each evicted pod.
type crowding struct {
	*stage
	node    string
	made    []*corev1.Pod
	victims []*corev1.Pod
}

const room = 4 // pods of a crowding on a node

// crowdOut fills a node. Each of the pods keeps terminating when it is evicted.
func (s *stage) crowdOut(node string) *crowding {
	s.T.Helper()
	c := &crowding{stage: s, node: s.node(node)}
	for range room {
		s.waitUntil(c.more(), "bound", bound)
	}
	for range 2 {
		s.waitUntil(c.more(), "waiting", refused)
	}
	return c
}

// refused reports whether default-scheduler has found no room for a pod.
func refused(pod *corev1.Pod) bool {
	return !bound(pod) && strings.Contains(message(pod), "Insufficient cpu")
}

// more creates one more pod.
func (c *crowding) more() *corev1.Pod {
	c.T.Helper()
	pod := bare(fmt.Sprintf("%s-low-%d", c.node, len(c.made)), on(c.node), cpu("1"), priority(low), clinging)
	c.made = append(c.made, pod)
	c.make(pod)
	return pod
}

// look returns the pods that are evicted or gone, those that are on the node, and those that wait.
func (c *crowding) look(ctx context.Context) (evicted, there, waiting []*corev1.Pod, err error) {
	for _, pod := range c.made {
		now := &corev1.Pod{}
		err := c.Get(ctx, client.ObjectKeyFromObject(pod), now)
		switch {
		case client.IgnoreNotFound(err) != nil:
			return nil, nil, nil, err
		case err != nil || terminating(now):
			evicted = append(evicted, pod)
		case bound(now):
			there = append(there, pod)
		default:
			waiting = append(waiting, pod)
		}
	}
	return evicted, there, waiting, nil
}

// evictions waits until n more pods were evicted, returns them, and fails if there are more.
func (c *crowding) evictions(n int) []*corev1.Pod {
	c.T.Helper()
	before := len(c.victims)
	c.Eventually(fmt.Sprintf("%d more pods are evicted", n), func(ctx context.Context) (string, error) {
		evicted, _, _, err := c.look(ctx)
		if err != nil || len(evicted) < before+n {
			return fmt.Sprintf("%d are", len(evicted)-before), err
		}
		return "", nil
	})
	c.wantVictims(before + n)
	return c.victims[before:]
}

// wantVictims fails the test unless this many pods were evicted in all.
func (c *crowding) wantVictims(want int) {
	c.T.Helper()
	evicted, _, _, err := c.look(c.T.Context())
	c.Must(err)
	for _, pod := range evicted {
		if !slices.Contains(c.victims, pod) {
			c.victims = append(c.victims, pod)
		}
	}
	if len(c.victims) != want {
		c.T.Fatalf("%d pods were evicted from node %s, want %d", len(c.victims), c.node, want)
	}
}

// there waits until this many pods are on the node.
func (c *crowding) there(want int) {
	c.T.Helper()
	c.Eventually(fmt.Sprintf("node %s has %d pods", c.node, want), func(ctx context.Context) (string, error) {
		_, there, _, err := c.look(ctx)
		if err != nil || len(there) != want {
			return fmt.Sprintf("it has %d", len(there)), err
		}
		return "", nil
	})
}

// giveUp deletes the waiting pods.
func (c *crowding) giveUp() {
	c.T.Helper()
	_, _, waiting, err := c.look(c.T.Context())
	c.Must(err)
	for _, pod := range waiting {
		c.letGo(pod)
		c.Must(c.Delete(c.T.Context(), pod))
		c.made = slices.DeleteFunc(c.made, func(made *corev1.Pod) bool { return made == pod })
	}
}

// Beside default-scheduler the room that preemption makes may be taken. Here it always is: the pod
// needs the room of two, and the first evicted pod makes room for one of the others before the second is
// gone. That is reported, and each time the next evictions wait twice as long. The pod is bound as soon as no
// other pod takes the room.
func takenBySecondary(t *testing.T, all *stage) {
	s := all.with(t, "taken")
	crowd := s.crowdOut("taken")
	pod, before := s.daemonPod("taken", crowd.node, cpu("2"), priority(high)), s.refills(t.Context())
	s.make(pod)
	victims := crowd.evictions(2)
	for i, times := range []string{"once", "2 times"} {
		s.waitFor(pod, "node taken: insufficient cpu: needs 2000m, 0m free; pods of lower priority are being evicted for it.")
		crowd.more()
		crowd.more()
		s.letGo(victims[0])
		crowd.there(room - 1)
		taken := time.Now()
		s.letGo(victims[1])
		s.waitUntil(pod, "reported that its room was taken "+times, func(pod *corev1.Pod) bool {
			return strings.Contains(message(pod), "; the room that preemption made was taken by other pods "+times+", last by default/taken-low-")
		})
		s.Eventually("an event and a metric report it too", func(ctx context.Context) (string, error) {
			told, err := s.events(ctx, pod, "PreemptionRefilled")
			if got := s.refills(ctx) - before; err != nil || got != float64(i+1) || len(told) != i+1 {
				return fmt.Sprintf("the metric is %v, and the events are %q", got, told), err
			}
			return "", nil
		})
		crowd.there(room)
		if i == 1 {
			crowd.giveUp()
		}
		victims = crowd.evictions(2)
		if waited, wait := time.Since(taken), 5*time.Second<<i; waited < wait {
			t.Errorf("room was taken %s, and the next pods were evicted after %s, want at least %s", times, waited, wait)
		}
	}
	s.letGo(victims[0])
	s.letGo(victims[1])
	s.waitUntil(pod, "bound", bound)
	crowd.wantVictims(6)
}

// As the cluster's scheduler it reserves the room for the pod that it was made for,
// even while only half of it is free: there are no other evictions, however many pods wait.
func keptByPrimary(t *testing.T, all *stage) {
	s := all.with(t, "kept")
	crowd := s.crowdOut("kept")
	for i := range 5 {
		pod := s.daemonPod(fmt.Sprintf("kept-%d", i), crowd.node, cpu("2"), priority(high))
		s.make(pod)
		victims := crowd.evictions(2)
		s.letGo(victims[0])
		// This pod is tried while there is room that is reserved for another, and is refused.
		s.waitUntil(crowd.more(), "refused", refused)
		crowd.more()
		s.letGo(victims[1])
		s.waitUntil(pod, "bound", bound)
		crowd.wantVictims(2 * (i + 1))
		told, err := s.events(t.Context(), pod, "PreemptionRefilled")
		if err != nil || len(told) > 0 {
			t.Errorf("events %q (%v), want none", told, err)
		}
		s.Must(s.Delete(t.Context(), pod))
		crowd.there(room) // the others get the room when the pod no longer needs it
	}
	if got := s.refills(t.Context()); got != 0 {
		t.Errorf("the metric is %v, want no refills", got)
	}
}

// refills returns how often the scheduler found that room was taken.
func (s *stage) refills(ctx context.Context) float64 {
	s.T.Helper()
	count, err := s.metric(ctx, s.Component(lab.EverynodeScheduler), "everynode_scheduler_preemption_refills_total")
	s.Must(err)
	return count
}

// In the primary install.
func TestPrimary(t *testing.T) {
	s := newStage(t, lab.Options{
		Scheduler: lab.SchedulerPrimary, Placement: lab.PlacementDirect, Without: []string{lab.Controller},
		ExtraArgs: map[string][]string{lab.EverynodeScheduler: {alone}},
	})
	witness := s.Watch()
	t.Run("room is kept", func(t *testing.T) { keptByPrimary(t, s) })
	s.Verdict(witness, 5)
}
