package cells

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// A delete whose answer was lost takes its node out of service until it is known whether it was
// executed: when the template changes back, no other node loses its pod meanwhile (S4), and a read from
// the API server decides.
func TestLostAnswerToADeleteCounts(t *testing.T) {
	for name, done := range map[string]bool{"it was executed": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, oneUnavailable)
			n2 := makeNode("n2")
			s.state.SeeNode(n2)
			first, second := makePod(s.set, s.node, bound("n1"), ready(t0)), makePod(s.set, n2, bound("n2"), ready(t0))
			s.hold(t, first)
			s.hold(t, second)
			s.state.See(t, makeDaemon("d", oneUnavailable, generation(2), image("image:2")))

			s.OnDelete = errors.New("connection reset by peer")
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != again || len(s.Deletes) != 1 {
				t.Fatalf("Reconcile = %s, %d deletes", got, len(s.Deletes))
			}
			s.OnDelete = nil
			if done {
				if err := s.Delete(t.Context(), first.DeepCopy()); err != nil {
					t.Fatal(err)
				}
				s.Deletes = s.Deletes[:1]
			}
			s.state.See(t, makeDaemon("d", oneUnavailable, generation(3))) // and back
			s.state.See(t, makeDaemon("d", oneUnavailable, generation(4), image("image:3")))
			n2Key := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"}
			if _, _ = s.reconciler.Reconcile(t.Context(), n2Key); len(s.Deletes) != 1 {
				t.Fatalf("S4: the pod on n2 is deleted while it is not known whether n1 has one")
			}
			_, _ = s.reconciler.Reconcile(t.Context(), stageKey) // reads
			_, health := s.state.Health(fixture.Key(s.set))
			if pods := s.state.Task(stageKey).Doubts; len(pods) > 0 || health.Desired != 2 {
				t.Fatalf("%d pods are still in doubt", len(pods))
			}
			_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
			_, _ = s.reconciler.Reconcile(t.Context(), n2Key)
			want := 2 // n1's is deleted because of the current template
			if done {
				want = 1
			}
			if len(s.Deletes) != want || s.Deletes[len(s.Deletes)-1] != first.UID {
				t.Errorf("deletes %v, want %d, none of n2's pod", s.Deletes, want)
			}
		})
	}
}

// A surge pod that was created and that the watch has not shown for a minute is read: while it exists its node counts as
// surging, also when the template has changed back and nothing is to be created there.
func TestMissedPodIsRead(t *testing.T) {
	for name, gone := range map[string]bool{"it exists": false, "it was deleted before it was seen": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, surging)
			s.hold(t, makePod(s.set, s.node, bound("n1"), ready(t0)))
			s.state.See(t, makeDaemon("d", surging, generation(2), image("image:2")))
			reconcile := func() { _, _ = s.reconciler.Reconcile(t.Context(), stageKey) }
			reconcile()
			if len(s.Requests) != 1 {
				t.Fatalf("requests: %v", s.Requests)
			}
			if gone {
				var pods corev1.PodList
				if err := s.List(t.Context(), &pods); err != nil {
					t.Fatal(err)
				}
				for i := range pods.Items {
					if pod := &pods.Items[i]; daemon.ObservePod(pod).Surges {
						_ = s.WithWatch.Delete(t.Context(), pod)
					}
				}
			}
			s.state.See(t, makeDaemon("d", surging, generation(3))) // and back
			for range 2 {
				s.clock.Advance(verifyAfter)
				if !s.state.Task(stageKey).Missed {
					t.Fatal("the pod is not missed after a minute")
				}
				reconcile()
				if s.state.Task(stageKey).Missed {
					t.Fatal("it is still missed after it was read")
				}
				if gone {
					break
				}
			}
			s.clock.Advance(verifyAfter)
			if missed := s.state.Task(stageKey).Missed; missed == gone {
				t.Errorf("missed a minute later: %v", missed)
			}
			if len(s.Requests) != 1 {
				t.Errorf("requests: %v", s.Requests)
			}
		})
	}
}
