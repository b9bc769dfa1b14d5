package cells

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/everynode/everynode/controller/answers"
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

// A delete that the API server cannot execute backs off, although the read of whether it did is answered each time (S8).
func TestReadKeepsBackOff(t *testing.T) {
	s := newStage(t, oneUnavailable)
	s.hold(t, makePod(s.set, s.node, bound("n1"), ready(t0)))
	s.state.See(t, makeDaemon("d", oneUnavailable, generation(2), image("image:2")))
	s.OnDelete = apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded"))
	reported := func() bool {
		_, health := s.state.Health(fixture.Key(s.set))
		return health.Problems["n1"] != daemon.Problem{}
	}
	asks := func() bool {
		task := s.state.Task(stageKey)
		return task.Asks()
	}
	for wait := answers.UnansweredBackOff; wait <= answers.UnansweredBackOffMax; wait *= 2 {
		result, err := s.reconciler.Reconcile(t.Context(), stageKey)
		if err != nil || result.RequeueAfter != wait {
			t.Fatalf("Reconcile = %v, %v, want it again after %v", result, err, wait)
		}
		if !asks() {
			t.Fatal("nothing is to be read")
		}
		if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil || asks() {
			t.Fatalf("the read failed: %v", err)
		}
		if reported() != (len(s.Deletes) > reportAfter) {
			t.Errorf("after %d deletes a problem is reported: %t", len(s.Deletes), reported())
		}
	}
	s.OnDelete = nil
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil || s.reconciler.unanswered.NumRequeues(stageKey) != 0 || reported() {
		t.Errorf("after a delete that was answered: %v, %d consecutive requests without an answer, a problem is reported: %t",
			err, s.reconciler.unanswered.NumRequeues(stageKey), reported())
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
						_ = s.Delete(t.Context(), pod)
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
