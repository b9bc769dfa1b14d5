package daemon

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
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

// A repeated request may create a second pod under the name of the first one, if that was deleted before it was seen. Then
// the first one does not end the wait for the second.
func TestOnlyTheAwaitedPodEndsTheWait(t *testing.T) {
	var cells Cells
	cells.SetTemplate("r1", 0, Strategy{MaxSurge: intstr.FromInt32(1)}, t0)
	cells.SetNode("n1", "uid-1", Verdict{ShouldRun: true, ShouldContinue: true}, t0)
	request := []Action{{Op: Create, Revision: "r1", Reason: ReasonMissing}}
	for _, uid := range []types.UID{"first", "second"} {
		cells.Sent("n1", request, t0)
		cells.Made("n1", uid, t0)
		cells.Answered("n1", true, t0)
	}
	cells.SetPod("n1", &Pod{Name: "p", UID: "first", Revision: "r1"}, t0)
	cells.RemovePod("n1", "first", t0)
	if got := cells.After("n1"); got != "" {
		t.Errorf("a request would be made after %q, want the name of the pod that is awaited", got)
	}
	cells.SetPod("n1", &Pod{Name: "p", UID: "second", Revision: "r1"}, t0)
	if got := cells.After("n1"); got != "second" {
		t.Errorf("a request would be made after %q, want the pod that was seen", got)
	}
}
