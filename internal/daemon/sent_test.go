package daemon

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// A surge pod that was created and not seen counts while its cell has other requests: here the former pod has failed, and its
// delete is answered. Otherwise another node would surge too (S4).
func TestAwaitedPodOutlivesOtherRequests(t *testing.T) {
	var cells Cells
	cells.SetTemplate("r2", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
	cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
	cells.SetPod("n1", &Pod{Name: "p", UID: "p", Revision: "r1", Bound: true, Ready: true}, t0)
	cells.Sent("n1", []Action{{Op: Create, Revision: "r2", Reason: ReasonSurge}}, t0)
	cells.Answered("n1", true, t0)
	cells.SetPod("n1", &Pod{Name: "p", UID: "p", Revision: "r1", Bound: true, Finished: true, Failed: true}, t0)
	cells.Sent("n1", []Action{{Op: Delete, Pod: Pod{UID: "p"}, Reason: ReasonFinished}}, t0)
	cells.Answered("n1", false, t0)
	if got := cells.rollout.surging; got != 1 {
		t.Errorf("%d nodes surge, want 1: its new pod is awaited", got)
	}
	cells.Sent("n1", []Action{{Op: Create, Revision: "r2", Reason: ReasonMissing}}, t0)
	cells.Answered("n1", false, t0)
	if got := cells.rollout.surging; got != 0 {
		t.Errorf("%d nodes surge after the API server refused the pod, want 0", got)
	}
}
