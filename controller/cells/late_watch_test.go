package cells

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

func madeAt(at time.Time) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.CreationTimestamp = metav1.NewTime(at) }
}

func toSurge(pod *corev1.Pod) {
	pod.Name += "-surge"
	pod.Annotations[v1alpha1.SurgeAnnotation] = "true"
}

// The watch lags behind: the old pod was deleted at the handover and is not observed as terminating
// yet when the template is reverted, changed again, or a taint closes the node. The other pod stays (S4).
func TestLateWatchAtHandOver(t *testing.T) {
	for name, next := range map[string]func(t *testing.T, s *stage){
		"reverted": func(t *testing.T, s *stage) {
			s.state.See(t, makeDaemon("d", surging, image("image:1"), generation(3)))
		},
		"third": func(t *testing.T, s *stage) {
			s.state.See(t, makeDaemon("d", surging, image("image:3"), generation(3)))
		},
		"closed": func(_ *testing.T, s *stage) {
			s.state.SeeNode(makeNode("n1", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}} }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, surging)
			second := makeDaemon("d", surging, image("image:2"), generation(2))
			s.hold(t, makePod(s.set, s.node, podUID("old"), bound("n1"), madeAt(t0.Add(-time.Hour)), ready(t0.Add(-time.Hour))))
			s.state.See(t, second)
			s.hold(t, makePod(second, s.node, podUID("new"), bound("n1"), toSurge, ready(t0)))
			if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Deletes, []types.UID{"old"}) {
				t.Fatalf("deleted %v, want old", s.Deletes)
			}
			next(t, s)
			for range 3 {
				if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil {
					t.Fatal(err)
				}
			}
			if slices.Contains(s.Deletes, "new") {
				t.Errorf("deleted %v, which leaves the node without a pod", s.Deletes)
			}
		})
	}
}

// The watch lags behind: an unavailable pod was deleted without budget, and by the clock it
// is available now. Its node is out of service nevertheless (S4).
func TestLateWatchAndMinReady(t *testing.T) {
	minReady := func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 10 }
	s := newStage(t, oneUnavailable, minReady)
	n2 := makeNode("n2")
	s.state.SeeNode(n2)
	s.hold(t, makePod(s.set, s.node, podUID("one"), ready(t0.Add(-time.Hour))))
	s.hold(t, makePod(s.set, n2, podUID("two"), ready(t0.Add(-5*time.Second))))
	s.state.See(t, makeDaemon("d", oneUnavailable, minReady, image("image:2"), generation(2)))
	n2Key := stageKey
	n2Key.Node = "n2"
	all := func() {
		for _, key := range []daemon.CellKey{stageKey, n2Key} {
			if _, err := s.reconciler.Reconcile(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	all()
	s.clock.Advance(6 * time.Second)
	s.Deletes = nil
	all()
	all()
	if slices.Contains(s.Deletes, "one") {
		t.Error("both nodes are without a pod, at most one may be")
	}
}

// When the pod of a former DaemonSet of this name, or of another owner, is gone, the cell that waited for
// the name is planned at once, not at the end of its back-off.
func TestDeletedFormerPodTriggersItsCell(t *testing.T) {
	s := newStage(t)
	former := makeDaemon("d")
	former.UID = "uid-former"
	pod := makePod(former, s.node, podUID("former"), bound("n1"), terminating, func(p *corev1.Pod) { p.Finalizers = []string{"x/y"} })
	stored := pod.DeepCopy()
	stored.DeletionTimestamp = nil
	s.hold(t, stored)
	s.state.SeePod(pod)
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != failed {
		t.Fatalf("Reconcile = %s", got)
	}
	s.queues.Drain()
	s.state.ForgetPod(pod)
	plans, _ := s.queues.Drain()
	if !slices.Contains(plans, "uid-d on n1") {
		t.Errorf("planned %v: uid-d on n1 waits for up to 15 min more", plans)
	}
}

// The message of a cell that waits for a former DaemonSet's pod names the pod, because a finalizer may hold it indefinitely.
func TestFormerPodIsNamed(t *testing.T) {
	s := newStage(t)
	former := makeDaemon("d")
	former.UID = "uid-former"
	s.hold(t, makePod(former, s.node, podUID("former"), bound("n1"), func(pod *corev1.Pod) { pod.Name = "d-x7k2p" }))
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != failed {
		t.Fatalf("Reconcile = %s", got)
	}
	_, health := s.state.Health(fixture.Key(s.set))
	if message := health.Problems["n1"].Message; !strings.Contains(message, "ns/d-x7k2p") {
		t.Errorf("the problem is %q, which does not name the pod", message)
	}
}

// Another webhook that is down, with failurePolicy Fail, is reported.
func TestOtherWebhookDownIsReported(t *testing.T) {
	s := newStage(t)
	s.Refuse = apierrors.NewInternalError(fmt.Errorf(`failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post "https://kyverno": connection refused`))
	for range 20 {
		_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
	}
	_, health := s.state.Health(fixture.Key(s.set))
	for _, condition := range health.Conditions() {
		if condition.Type == v1alpha1.ConditionDegraded && condition.Status == metav1.ConditionFalse {
			t.Error("no problem is reported")
		}
	}
	if events := s.Drain(); len(events) == 0 {
		t.Error("no event")
	}
}

// A refused delete is not reported as a failed create.
func TestRefusedDeleteIsReported(t *testing.T) {
	s := newStage(t)
	s.hold(t, makePod(s.set, s.node, podUID("p")))
	s.state.ForgetNode("n1")
	s.OnDelete = apierrors.NewForbidden(podsResource, "p", fmt.Errorf("a policy denies it"))
	_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
	_, health := s.state.Health(fixture.Key(s.set))
	for _, condition := range health.Conditions() {
		if condition.Type == v1alpha1.ConditionDegraded {
			if condition.Reason != eventFailedDelete {
				t.Errorf("reason %s, want %s", condition.Reason, eventFailedDelete)
			}
		}
	}
}
