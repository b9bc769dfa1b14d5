package scheduling

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/schedplugin/uniqueness"
	"github.com/everynode/everynode/test/lab"
)

// A pod whose node does not exist reports that, and is placed when the node is added.
func missingNode(t *testing.T, all *stage) {
	s := all.with(t, "early")
	pod := s.daemonPod("early", "node-of-tomorrow")
	s.make(pod)
	s.waitFor(pod, "node node-of-tomorrow: does not exist; the pod is placed when it appears.")
	s.node("node-of-tomorrow")
	s.waitUntil(pod, "bound", bound)
}

// A pod that the scheduler does not serve gets instructions, and is served once these are followed.
func notServed(t *testing.T, all *stage) {
	s := all.with(t, "not-served")
	node := s.node("not-served")
	nobodys := s.daemonPod("nobodys", node, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
	anywhere := s.daemonPod("anywhere", node, func(pod *corev1.Pod) { pod.Spec.Affinity = nil })
	s.make(nobodys, anywhere)
	s.waitFor(anywhere, uniqueness.ReasonNotPinned+".")
	orphan := s.waitFor(nobodys, uniqueness.ReasonNotOwned+".")
	s.Eventually("an event has the message too", func(ctx context.Context) (string, error) {
		told, err := s.events(ctx, orphan, "FailedScheduling")
		if err == nil && len(told) == 0 {
			return "there is none", nil
		}
		return "", err
	})

	adopted := orphan.DeepCopy()
	adopted.OwnerReferences = s.daemonPod("", node).OwnerReferences
	s.Must(s.Patch(t.Context(), adopted, client.MergeFrom(orphan)))
	s.waitUntil(nobodys, "bound", bound)
}

// A pod that waits for its node causes neither scheduling cycles nor writes while other nodes and pods
// are added and deleted. A retry with the same result causes no write either.
func stuck(t *testing.T, all *stage) {
	s := all.with(t, "stuck")
	node, scheduler := s.node("full"), s.Component(lab.EverynodeScheduler)
	first := s.daemonPod("first", node, cpu("3"), priority(high))
	s.placed(first)
	pods := map[*corev1.Pod]string{
		s.daemonPod("twin", node):                             "node full: already has pod first of the same DaemonSet.",
		s.with(t, "large").daemonPod("large", node, cpu("2")): "node full: insufficient cpu: needs 2000m, 1000m free; no pod of lower priority can make room.",
		s.with(t, "ahead").daemonPod("ahead", "none"):         "node none: does not exist; the pod is placed when it appears.",
	}
	before := map[*corev1.Pod]*corev1.Pod{}
	for pod, words := range pods {
		s.make(pod)
		before[pod] = s.waitFor(pod, words)
	}
	unchanged := func(when string) {
		t.Helper()
		for pod, words := range pods {
			if now := s.waitFor(pod, words); now.ResourceVersion != before[pod].ResourceVersion {
				t.Errorf("%s: pod %s was written, from resourceVersion %s to %s: %+v", when, pod.Name, before[pod].ResourceVersion, now.ResourceVersion, now.Status)
			}
		}
	}
	attempts := s.unschedulable(scheduler)

	var others []string
	for i := range 20 {
		others = append(others, fmt.Sprintf("passing-%d", i))
		_, err := s.AddNode(t.Context(), others[i])
		s.Must(err)
	}
	s.Must(s.WaitForNodes(t.Context(), others...))
	for _, other := range others {
		pod := s.daemonPod(other, other, cpu("1"))
		s.placed(pod)
		s.Must(s.Delete(t.Context(), pod))
		s.Must(s.DeleteNode(t.Context(), other))
	}
	// The scheduler receives events of pods, and of nodes, in order: it has received all of the above.
	s.placed(s.daemonPod("last", s.node("last")))
	unchanged("nodes and pods were added and deleted")
	if got := s.unschedulable(scheduler); got != attempts {
		t.Errorf("pods without relevant events were tried %v more times", got-attempts)
	}

	s.Must(scheduler.Restart(t.Context()))
	s.Eventually("the scheduler has retried the pods", func(context.Context) (string, error) {
		if got := s.unschedulable(scheduler); got < float64(len(pods)) {
			return fmt.Sprintf("it has tried %v times", got), nil
		}
		return "", nil
	})
	s.placed(s.with(t, "later").daemonPod("later", node))
	unchanged("the scheduler was restarted")
}

// unschedulable returns the number of a scheduler's unsuccessful attempts.
func (s *stage) unschedulable(scheduler *lab.Component) float64 {
	s.T.Helper()
	attempts, err := s.metric(s.T.Context(), scheduler, "scheduler_schedule_attempts_total", `result="unschedulable"`)
	s.Must(err)
	return attempts
}
