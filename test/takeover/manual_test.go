package takeover

import (
	"context"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The commands of the manual that remove what Everynode leaves behind.
const (
	forgetConditions = `kubectl get daemonsets --all-namespaces --output=json | ` +
		`kubectl patch --filename=- --subresource=status --type=merge --patch='{"status":{"conditions":null}}'`
	deleteWaiting = `kubectl delete pods --all-namespaces --field-selector=spec.schedulerName=everynode-scheduler,status.phase=Pending`
)

// byTheBook runs a command of the manual.
func (t *trial) byTheBook(command string) {
	t.T.Helper()
	manual, err := os.ReadFile("../../docs/takeover.md")
	t.Must(err)
	if !strings.Contains(string(manual), command+"\n") {
		t.T.Errorf("docs/takeover.md does not contain: %s", command)
	}
	text := ""
	for part := range strings.SplitSeq(command, " | ") {
		args := strings.Fields(strings.ReplaceAll(part, "'", ""))
		text, _, err = t.Kubectl(t.T.Context(), text, args[1:]...)
		t.Must(err)
	}
}

// cleanUp: the built-in controller keeps conditions that it does not know, and pods that wait for
// everynode-scheduler. The commands of the manual remove both permanently.
func cleanUp(t *trial) {
	manual, waiting := t.fleet["manual"], t.fleet["waiting"]
	t.Must(t.ReadWorkload(t.T.Context(), manual.Workload))
	if len(manual.Status.Conditions) == 0 {
		t.T.Error("there are no conditions to remove")
	}
	t.byTheBook(forgetConditions)
	t.byTheBook(deleteWaiting)

	t.Eventually("the pods wait for the default scheduler", func(ctx context.Context) (string, error) {
		pods, err := t.PodsOf(ctx, waiting.Workload)
		theirs := 0
		for i := range pods {
			if pods[i].Spec.SchedulerName == corev1.DefaultSchedulerName {
				theirs++
			}
		}
		return missingUnless(theirs == 3 && len(pods) == 3, "%d of %d do", theirs, len(pods)), err
	})
	for _, m := range []*member{manual, waiting} {
		t.nextGeneration(m.Workload)
		t.WaitForWorkload(m.Workload, "no condition", func(status *v1alpha1.DaemonSetStatus) bool {
			return len(status.Conditions) == 0 && sameCounts(status, &m.want)
		})
	}
}
