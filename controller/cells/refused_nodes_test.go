package cells

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// errNotOn returns a policy's refusal of one node's pod.
func errNotOn(node string) error {
	return errDenied(422, metav1.StatusReasonInvalid, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not on "+node)
}

// A policy refuses the pods of some nodes for a long time. The lost pod of a healthy node is replaced at once, regardless of their number.
func TestRefusedNodesDelayNoOther(t *testing.T) {
	for _, bad := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			s := newStage(t)
			cells := []daemon.CellKey{stageKey}
			for n := range bad {
				node := makeNode(fmt.Sprintf("bad-%d", n))
				s.state.SeeNode(node)
				cells = append(cells, fixture.Key(s.set).On(node.Name))
			}
			s.RefusePod = func(pod *corev1.Pod) error {
				if node, _ := daemon.Target(pod); node != "n1" {
					return errNotOn(node)
				}
				return nil
			}
			turn := func() {
				for _, cell := range cells {
					_, _ = s.reconciler.Reconcile(t.Context(), cell)
				}
			}
			turn()
			pods := s.Pods(t)
			if len(pods) != 1 {
				t.Fatalf("%d pods, want the healthy node's", len(pods))
			}
			s.state.SeePod(&pods[0])
			for range 720 { // they are reconciled every five seconds, regardless of their back-off
				turn()
				s.clock.Advance(5 * time.Second)
			}
			if got := len(s.Requests); got > 1+14*bad {
				t.Errorf("%d requests in an hour, want at most those of %d back-offs", got, bad)
			}
			if err := s.Delete(t.Context(), &pods[0]); err != nil {
				t.Fatal(err)
			}
			s.state.ForgetPod(&pods[0])
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != looksLater || len(s.Pods(t)) != 1 {
				t.Errorf("Reconcile = %s, %d pods; want the pod replaced at once", got, len(s.Pods(t)))
			}
		})
	}
}
