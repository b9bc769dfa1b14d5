package simulation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/test/faults/checker"
	"github.com/everynode/everynode/test/faults/history"
)

// Random edits, from valid to invalid and back, end as the last specs say, whatever fails in the meantime.
func TestRandomEdits(t *testing.T) { violatesNothing(t, "edited") }

// What edits can bring about happens, in few histories.
func TestEditsAreBroad(t *testing.T) {
	var all strings.Builder
	for seed := range uint64(90) {
		Edited(seed).Tell(&all)
	}
	for _, want := range []string{
		"is refused: labels that the selector", "edits DaemonSet d: labels that the selector", "is refused: no budget at all", "edits DaemonSet surge: no budget at all",
		"a service account that does not exist", "a priority class that does not exist", "requests that no node has", "nodes of a label", "no node",
		"a toleration", "OnDelete", "ready never", "reply lost", "is frozen: true", "is killed", "fails: ", "a user deletes pod", "is not ready", "adds a finalizer", "not-ready:NoExecute", "special:NoSchedule", "disk=ssd",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no history contains %q", want)
		}
	}
}

// A controller that does not do what the last spec says is found, by the checker and by the comparison.
func TestWrongEndIsFound(t *testing.T) {
	c := editedCluster(0)
	c.tamper = func(request *history.Request) {
		if pod, ok := request.Object.(*corev1.Pod); ok {
			pod.Spec.Containers[0].Image = "another"
		}
	}
	found := strings.Join(c.runEdited().Violations, "\n")
	for _, id := range []string{checker.L1, checker.L4} {
		if !strings.Contains(found, id+": ") {
			t.Errorf("%s is not reported: %s", id, found)
		}
	}
}
