package scheduling

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Two schedulers, one of which was paused between its decision about a pod and its binding, and two
// pods of one cell, as created by a controller that does not know yet that it lost its lease. The scheduler
// that decides last knows of both pods.
func TestTwinsOfTwoSchedulers(t *testing.T) {
	s := newStage(t, lab.Options{
		Nodes: 1, Without: []string{lab.Scheduler, lab.Webhook, lab.Controller, lab.EverynodeScheduler}, Placement: lab.PlacementDirect,
	})
	c := s.Cluster
	gate := newGate(t, s)
	first, err := c.Replica(t.Context(), lab.EverynodeScheduler, alone, gate.through())
	s.Must(err)
	second, err := c.Replica(t.Context(), lab.EverynodeScheduler, alone)
	s.Must(err)

	witness := c.Watch()
	const rounds = 10
	for round := range rounds {
		// Because of its priority, the second scheduler tries the younger pod first.
		older, younger := s.daemonPod(fmt.Sprintf("round-%d-older", round), lab.NodeName(0)), s.daemonPod(fmt.Sprintf("round-%d-younger", round), lab.NodeName(0), priority(never))
		s.Must(second.Stop(t.Context()))
		gate.hold()
		s.make(older)
		if reached := <-gate.reached; reached != older.Name {
			t.Fatalf("pod %s is being bound, want %s", reached, older.Name)
		}
		s.Must(first.Pause())
		s.make(younger)
		s.Must(second.Restart(t.Context()))
		waits := fmt.Sprintf("pod %s of the same DaemonSet is pending for this node too; waiting until one of them is deleted.", older.Name)
		s.waitUntil(younger, "decided about", func(pod *corev1.Pod) bool { return bound(pod) || strings.HasSuffix(message(pod), waits) })
		gate.release()
		s.Must(first.Resume())
		s.waitUntil(older, "bound", bound)
		s.remove(younger, older)
	}
	c.Verdict(witness, 2*rounds)
}

// A pod that waits for its twin is placed when the controller deletes that one.
func TestPendingTwinsWake(t *testing.T) {
	s := newStage(t, lab.Options{Nodes: 1, Without: []string{lab.Controller, lab.Scheduler, lab.Webhook}, Placement: lab.PlacementDirect, ExtraArgs: map[string][]string{lab.EverynodeScheduler: {alone}}})
	scheduler := s.Component(lab.EverynodeScheduler)
	witness := s.Watch()
	for name, leave := range map[string]func(*corev1.Pod){
		"deleted":    func(pod *corev1.Pod) { s.Must(s.Delete(t.Context(), pod, client.GracePeriodSeconds(0))) },
		"terminates": func(pod *corev1.Pod) { s.Must(s.Delete(t.Context(), pod)) },
		"released": func(pod *corev1.Pod) {
			s.Must(s.Patch(t.Context(), pod.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"ownerReferences":null}}`))))
		},
	} {
		s.Must(scheduler.Pause())
		left, right := s.daemonPod(name+"-left", lab.NodeName(0)), s.daemonPod(name+"-right", lab.NodeName(0))
		if name == "terminates" {
			clinging(left)
		}
		s.make(left, right)
		s.Must(scheduler.Resume())
		s.eitherBoundOr(left, right)
		if still := s.waitUntil(left, "there", func(*corev1.Pod) bool { return true }); !bound(still) && !bound(s.waitUntil(right, "there", func(*corev1.Pod) bool { return true })) {
			leave(left)
			s.waitUntil(right, "bound", bound)
		}
		s.letGo(left)
		s.remove(left, right)
	}
	s.Verdict(witness, 6)
}

// eitherBoundOr waits until one of two pods is bound, because the scheduler saw it before the other, or both
// block each other.
func (s *stage) eitherBoundOr(pods ...*corev1.Pod) {
	s.T.Helper()
	s.Eventually("one is bound, or both wait", func(ctx context.Context) (string, error) {
		waiting := 0
		for _, pod := range pods {
			read := &corev1.Pod{}
			if err := s.Get(ctx, client.ObjectKeyFromObject(pod), read); err != nil {
				return "", err
			}
			if bound(read) {
				return "", nil
			}
			if strings.Contains(message(read), "is pending for this node too") {
				waiting++
			}
		}
		if waiting < len(pods) {
			return fmt.Sprintf("%d wait", waiting), nil
		}
		return "", nil
	})
}

// remove deletes pods and waits until they are gone.
func (s *stage) remove(pods ...*corev1.Pod) {
	s.T.Helper()
	for _, pod := range pods {
		s.Must(client.IgnoreNotFound(s.Delete(s.T.Context(), pod, client.GracePeriodSeconds(0))))
		s.Eventually("pod "+pod.Name+" is gone", func(ctx context.Context) (string, error) {
			if err := s.Get(ctx, client.ObjectKeyFromObject(pod), &corev1.Pod{}); client.IgnoreNotFound(err) != nil || err == nil {
				return "it still exists", err
			}
			return "", nil
		})
	}
}

// While the scheduler's watch is interrupted, a pod is deleted and another one of its name is created. The scheduler, whose
// watch reports that a bound pod became unbound, continues and places it (podevents).
func TestSuccessorOfTheSameName(t *testing.T) {
	c := labtest.Start(t, lab.Options{
		Nodes: 2, Without: []string{lab.Scheduler, lab.Webhook, lab.Controller, lab.EverynodeScheduler}, Placement: lab.PlacementDirect,
	})
	s := &stage{Cluster: c, owner: labtest.DaemonSet("same")}
	s.Make(s.owner)
	gate := newGate(t, s)
	scheduler, err := c.Replica(t.Context(), lab.EverynodeScheduler, alone, gate.through())
	s.Must(err)
	process := scheduler.PID()
	for round, node := range []string{lab.NodeName(0), lab.NodeName(1), lab.NodeName(0)} {
		pod := s.daemonPod("same", node)
		if round == 0 {
			s.placed(pod)
			continue
		}
		gate.interrupt()
		s.remove(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
		s.make(pod)
		gate.resume()
		s.waitUntil(pod, "bound to "+node, func(read *corev1.Pod) bool { return read.Spec.NodeName == node })
	}
	if now := scheduler.PID(); now != process {
		t.Errorf("the scheduler is process %d, want %d still", now, process)
	}
}
