package simulation

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/checker"
)

// Templates fail, are rolled back, aborted and retried, and no verdict is without evidence, and no verb acts twice.
func TestJudgedRollouts(t *testing.T) { violatesNothing(t, "judged") }

// What can happen to a rollout that is judged happens, in few histories.
func TestJudgedRolloutsAreBroad(t *testing.T) {
	seen, judged := map[string]int{}, 0
	for seed := range uint64(60) {
		run := Judged(seed)
		judged += run.Judged[checker.R2]
		for i := range run.History.Records {
			change := run.History.Records[i].Change
			if change == nil {
				continue
			}
			switch object := change.Object.(type) {
			case *appsv1.ControllerRevision:
				seen[object.Annotations[v1alpha1.VerdictAnnotation]]++
			case *v1alpha1.DaemonSet:
				if of := object.Status.Rollout; of != nil {
					seen[fmt.Sprintf("%s %s", of.Phase, object.Spec.Rollout.OnFailure)]++
				}
				for _, condition := range object.Status.Conditions {
					seen[condition.Reason]++
				}
			}
		}
	}
	for _, want := range []string{
		"ContainerRestarts", "ContainerNotStarting", "ImageMissing", "Aborted", `"retried"`, "Failed Pause", "Failed Rollback", "RollingBack Rollback", "RevisionFailed", "ImagePullFailing",
	} {
		n := 0
		for text, times := range seen {
			if strings.Contains(text, want) {
				n += times
			}
		}
		if t.Logf("%s: %d times", want, n); n == 0 {
			t.Errorf("no history contains %q", want)
		}
	}
	if judged < 30 {
		t.Errorf("R2 was judged %d times", judged)
	}
}
