package takeover

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// rolloutsGoOn: rollouts in progress at the handover are completed, and the node with a
// new pod keeps it.
func rolloutsGoOn(t *trial) {
	for _, name := range []string{"halfway", "halfway-surging"} {
		m := t.fleet[name]
		held, err := t.held(t.T.Context(), m.Workload)
		t.Must(err)
		if len(held) != 1 {
			t.T.Fatalf("%s: %d pods are held, want 1", name, len(held))
		}
		t.finish(m)
		if pods := t.WaitForPods(m.Workload, fleetNodes...); !hasPod(pods, held[0].UID) {
			t.T.Errorf("%s: pod %s, which was new already, was replaced", name, held[0].Name)
		}
	}
}

// finish releases pods until a rollout is complete.
func (t *trial) finish(m *member) {
	t.T.Helper()
	image := m.Spec.Template.Spec.Containers[0].Image
	t.Eventually(m.Name+" has only new pods", func(ctx context.Context) (string, error) {
		pods, err := t.Release(ctx, m.Workload)
		if err != nil {
			return "", err
		}
		done := 0
		for i := range pods {
			if pods[i].Spec.Containers[0].Image == image && lab.PodReady(&pods[i]) {
				done++
			}
		}
		return missingUnless(done == 3 && len(pods) == 3, "%d of %d pods are new and ready", done, len(pods)), nil
	})
	t.waitForComplete(m.Workload)
}

func hasPod(pods map[string]corev1.Pod, uid types.UID) bool {
	for _, pod := range pods {
		if pod.UID == uid {
			return true
		}
	}
	return false
}

func uidsOf(pods map[string]corev1.Pod) map[string]types.UID {
	uids := map[string]types.UID{}
	for node, pod := range pods {
		uids[node] = pod.UID
	}
	return uids
}

// fleetRollsOut: Everynode replaces pods of the other controller with pods that admission pins and
// its scheduler binds.
func fleetRollsOut(t *trial) {
	patient := t.fleet["patient"]
	before := uidsOf(t.WaitForPods(patient.Workload, fleetNodes...))
	t.ChangeWorkload(patient.Workload, minReadySeconds(1))
	t.waitForComplete(patient.Workload)
	if diff := cmp.Diff(before, uidsOf(t.WaitForPods(patient.Workload, fleetNodes...))); diff != "" {
		t.T.Errorf("minReadySeconds restarts pods (-before, +after):\n%s", diff)
	}
	patient.want = counts(3, 3, 3)

	for name, pods := range t.rollAll("plain", "surging", "patient") {
		m := t.fleet[name]
		for _, pod := range pods {
			if by := pod.Annotations[v1alpha1.PlacedByAnnotation]; by != v1alpha1.PlacedByWebhook || pod.Spec.SchedulerName != v1alpha1.SchedulerName {
				t.T.Errorf("%s: pod %s was placed by %q and scheduled by %s", name, pod.Name, by, pod.Spec.SchedulerName)
			}
			// The built-in controller treats a pod with this label as updated, whatever its revision.
			if got, want := pod.Labels["pod-template-generation"], m.Annotations[appsv1.DeprecatedTemplateGeneration]; got == "" || got != want {
				t.T.Errorf("%s: pod %s has generation %q, want %q", name, pod.Name, got, want)
			}
		}
		if available := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionAvailable); available == nil {
			t.T.Errorf("%s has no condition Available", name)
		}
	}
}

// builtinRollsOut: the built-in controller replaces Everynode's pods.
func builtinRollsOut(t *trial) {
	for name, pods := range t.rollAll("plain", "surging") {
		for _, pod := range pods {
			if pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
				t.T.Errorf("%s: pod %s is scheduled by %s", name, pod.Name, pod.Spec.SchedulerName)
			}
		}
	}
}

// rollAll makes members replace all their pods, and returns the new ones.
func (t *trial) rollAll(names ...string) map[string]map[string]corev1.Pod {
	t.T.Helper()
	before, after := map[string]map[string]corev1.Pod{}, map[string]map[string]corev1.Pod{}
	for _, name := range names {
		m := t.fleet[name]
		before[name] = t.WaitForPods(m.Workload, fleetNodes...)
		t.ChangeWorkload(m.Workload, m.nextImage)
	}
	for _, name := range names {
		m := t.fleet[name]
		t.waitForComplete(m.Workload)
		after[name] = t.WaitForPods(m.Workload, fleetNodes...)
		for _, pod := range after[name] {
			if hasPod(before[name], pod.UID) {
				t.T.Errorf("%s: pod %s was not replaced", name, pod.Name)
			}
		}
	}
	return after
}

// deletesCount: with OnDelete pods are replaced only when the user deletes them.
func deletesCount(t *trial) {
	m := t.fleet["manual"]
	before := t.WaitForPods(m.Workload, fleetNodes...)
	gone := before[fleetNodes[1]]
	t.Must(t.Delete(t.T.Context(), &gone))
	m.want = counts(2, 3, 3)
	t.WaitForWorkload(m.Workload, "one more updated pod", func(status *v1alpha1.DaemonSetStatus) bool { return sameCounts(status, &m.want) })
	for node, pod := range t.WaitForPods(m.Workload, fleetNodes...) {
		if kept := pod.UID == before[node].UID; kept != (node != gone.Spec.NodeName) {
			t.T.Errorf("%s: the pod was kept: %t", node, kept)
		}
	}
}

// historyGoesOn: a user restores a template that was recorded before the handover; its record gets
// the highest number, and no record is created.
func historyGoesOn(t *trial) {
	m := t.fleet["historic"]
	before := t.records(m.Workload)
	back := before[0]
	t.undo(m, fmt.Sprintf("--to-revision=%d", back.Revision))
	after := t.records(m.Workload)
	if len(after) != 3 || after[2].UID != back.UID || after[2].Revision != before[2].Revision+1 {
		t.T.Errorf("the history was %s and is %s", describe(before), describe(after))
	}
	t.checkLabels(m, &back)
}

// undo restores a template as a user would, and waits for the rollout.
func (t *trial) undo(m *member, args ...string) {
	t.T.Helper()
	_, _, err := t.Kubectl(t.T.Context(), "", append([]string{"rollout", "undo", "daemonset/" + m.Name}, args...)...)
	t.Must(err)
	t.Must(t.ReadWorkload(t.T.Context(), m.Workload))
	t.waitForComplete(m.Workload)
}

func (t *trial) records(w *labtest.Workload) []appsv1.ControllerRevision {
	t.T.Helper()
	records, err := t.RevisionsOf(t.T.Context(), w)
	t.Must(err)
	return records
}

func describe(records []appsv1.ControllerRevision) string {
	var text []string
	for i := range records {
		text = append(text, fmt.Sprintf("%d %s", records[i].Revision, records[i].Name))
	}
	return strings.Join(text, ", ")
}

// checkLabels verifies that a member's pods have the revision of its template's record.
func (t *trial) checkLabels(m *member, record *appsv1.ControllerRevision) {
	t.T.Helper()
	want := record.Labels[appsv1.ControllerRevisionHashLabelKey]
	for _, pod := range t.WaitForPods(m.Workload, fleetNodes...) {
		if got := pod.Labels[appsv1.ControllerRevisionHashLabelKey]; got != want {
			t.T.Errorf("pod %s has revision %s, want %s", pod.Name, got, want)
		}
	}
}

// trickyComesBack: a template that can be written in many ways is recognized when it is restored
// from its record.
func trickyComesBack(t *trial) { comesBack(t, t.fleet["tricky"]) }

// collidedComesBack: a template keeps the name under which it was recorded.
func collidedComesBack(t *trial) { comesBack(t, t.fleet["collided"]) }

func comesBack(t *trial, m *member) {
	before := t.records(m.Workload)
	current := before[len(before)-1]
	t.roll(m)
	t.undo(m)
	if after := t.records(m.Workload); len(after) != len(before)+1 || after[len(before)].UID != current.UID {
		t.T.Errorf("the history was %s and is %s", describe(before), describe(after))
	}
	t.checkLabels(m, &current)
	t.WaitForWorkload(m.Workload, "no further collision", func(status *v1alpha1.DaemonSetStatus) bool { return sameCounts(status, &m.want) })
}

// undoRestartsLittle: a rollout that is reverted after one pod was replaced only replaces
// that pod again.
func undoRestartsLittle(t *trial) {
	m := &member{Workload: t.MakeWorkload(labtest.Apps, labtest.DaemonSet("undone", onFleet))}
	t.waitForComplete(m.Workload)
	before := t.WaitForPods(m.Workload, fleetNodes...)
	rollHalfway(t, m)
	t.undo(m)
	replaced := 0
	for node, pod := range t.WaitForPods(m.Workload, fleetNodes...) {
		if pod.UID != before[node].UID {
			replaced++
		}
	}
	if replaced != 1 {
		t.T.Errorf("%d pods are new, want 1", replaced)
	}
	t.checkLabels(m, &t.records(m.Workload)[1])
}

// waitersWait: pending pods are kept until they are deleted.
func waitersWait(t *trial) {
	m := t.fleet["waiting"]
	t.Must(t.DeleteAllOf(t.T.Context(), &corev1.Pod{}, client.InNamespace(m.Namespace), client.MatchingLabels{"app": m.Name}))
	t.Eventually("their successors wait for everynode-scheduler", func(ctx context.Context) (string, error) {
		pods, err := t.PodsOf(ctx, m.Workload)
		ours := 0
		for i := range pods {
			if pods[i].Spec.SchedulerName == v1alpha1.SchedulerName {
				ours++
			}
		}
		return missingUnless(ours == 3 && len(pods) == 3, "%d of %d do", ours, len(pods)), err
	})
	t.WaitForWorkload(m.Workload, "the same", func(status *v1alpha1.DaemonSetStatus) bool { return sameCounts(status, &m.want) })
}
