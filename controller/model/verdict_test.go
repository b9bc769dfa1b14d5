package model

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// crashing has a container that restarted so often, a minute after the binding.
func crashing(times int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "c", RestartCount: times,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(pod.CreationTimestamp.Add(time.Minute))}},
		}}
	}
}

// updates replaces the pod of a node by one of the present template.
func (r *rolling) updates(node string, change ...func(*corev1.Pod)) {
	former := r.set.DeepCopy()
	image("image:1")(former)
	r.forgetPod(makePod(former, makeNode(node), bound(node), ready(t0)))
	r.seePod(makePod(r.set, makeNode(node), append([]func(*corev1.Pod){bound(node), podUID("new")}, change...)...))
}

// notes returns what is to be recorded of the template.
func (r *rolling) notes() []daemon.Note {
	r.t.Helper()
	subject, ok := r.subject(keyOf(r.set))
	if !ok {
		r.t.Fatal("there is no such daemon")
	}
	return subject.Notes
}

// record stores what is to be recorded of the template.
func (r *rolling) record() {
	r.t.Helper()
	record := fixture.Record(r.set)
	for _, note := range r.notes() {
		metav1.SetMetaDataAnnotation(&record.ObjectMeta, note.Annotation, note.Value)
	}
	record.ResourceVersion = "2"
	r.seeRevision(record)
}

func (r *rolling) rollout() *v1alpha1.RolloutStatus {
	of := &HealthOf{Key: keyOf(r.set)}
	r.run(of)
	return of.Health.RolloutStatus()
}

// A verdict is to be recorded once, by history; what is recorded decides, also after a restart.
func TestVerdictIsRecorded(t *testing.T) {
	for onFailure, want := range map[v1alpha1.OnFailure][]string{
		v1alpha1.OnFailurePause:    {"n0 image:2", "n1 image:1", "n2 image:1"},
		v1alpha1.OnFailureRollback: {"n0 image:1", "n1 image:1", "n2 image:1"},
		v1alpha1.OnFailureContinue: {"n0 image:2", "n1 image:2", "n2 image:2"},
	} {
		t.Run(string(onFailure), func(t *testing.T) {
			r := newRolling(t, 3, v1alpha1.Rollout{OnFailure: onFailure})
			r.edits(image("image:2"))
			r.updates("n0", crashing(2))
			if notes := r.notes(); len(notes) > 0 {
				t.Fatalf("two restarts are evidence: %v", notes)
			}
			r.queues.Histories = nil
			r.seePod(makePod(r.set, makeNode("n0"), bound("n0"), podUID("new"), crashing(3), func(pod *corev1.Pod) { pod.ResourceVersion = "8" }))
			if len(r.queues.Histories) != 1 {
				t.Errorf("history is enqueued %d times", len(r.queues.Histories))
			}
			r.record()
			wantStrings(t, "targets", want, r.targets())
			if notes := r.notes(); len(notes) > 0 {
				t.Errorf("it is recorded again: %v", notes)
			}
			verdict := r.rollout().Verdict
			if verdict == nil || verdict.Reason != v1alpha1.VerdictContainerRestarts || verdict.Time == nil || len(verdict.Nodes) != 1 {
				t.Errorf("the verdict in the status is %+v", verdict)
			}
			if wrong := r.audit(keyOf(r.set)); len(wrong) > 0 {
				t.Errorf("the audit finds %q", wrong)
			}
		})
	}
}

// Verbs are obeyed once, and what they name is recorded; those of another revision, and of one that is stable, are ignored.
func TestVerbsAreObeyedOnce(t *testing.T) {
	r := newRolling(t, 2, v1alpha1.Rollout{})
	revision := func() string { return fixture.Record(r.set).Labels[appsv1.ControllerRevisionHashLabelKey] }
	set := func(annotation, value string) {
		r.set = r.set.DeepCopy()
		metav1.SetMetaDataAnnotation(&r.set.ObjectMeta, annotation, value)
		if err := r.seeDaemon(r.set, nil); err != nil {
			t.Fatal(err)
		}
	}
	set(v1alpha1.AbortAnnotation, revision())
	if notes := r.notes(); len(notes) > 0 {
		t.Errorf("the stable revision is aborted: %v", notes)
	}
	r.edits(image("image:2"))
	if notes := r.notes(); len(notes) > 0 {
		t.Errorf("another revision's abort is obeyed: %v", notes)
	}
	wantStrings(t, "targets", []string{"n0 image:2", "n1 image:2"}, r.targets())
	set(v1alpha1.AbortAnnotation, revision())
	r.record()
	wantStrings(t, "targets once aborted", []string{"n0 image:1", "n1 image:1"}, r.targets())
	if got := r.rollout(); got.Phase != v1alpha1.RolloutFailed || got.Verdict.Reason != v1alpha1.VerdictAborted {
		t.Errorf("the status is %+v", got)
	}
	set(v1alpha1.RetryAnnotation, revision()+"/1")
	r.record()
	wantStrings(t, "targets once retried", []string{"n0 image:2", "n1 image:2"}, r.targets())
	if notes := r.notes(); len(notes) > 0 {
		t.Errorf("with both annotations still there, %v is recorded", notes)
	}
	if !r.inUse(keyOf(r.set), revision()) {
		t.Error("the record that says what was obeyed may be deleted")
	}
}

// A verdict that names another record, as a copied annotation does, is none.
func TestCopiedVerdictIsIgnored(t *testing.T) {
	r := newRolling(t, 1, v1alpha1.Rollout{OnFailure: v1alpha1.OnFailureRollback})
	r.edits(image("image:2"))
	record := fixture.Record(r.set)
	metav1.SetMetaDataAnnotation(&record.ObjectMeta, v1alpha1.VerdictAnnotation, `{"uid":"another","reason":"NotAvailable"}`)
	record.ResourceVersion = "2"
	r.seeRevision(record)
	wantStrings(t, "targets", []string{"n0 image:2"}, r.targets())
	if got := r.rollout(); got.Verdict != nil {
		t.Errorf("the verdict is %+v", got.Verdict)
	}
}
