package cells

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/internal/daemon"
)

// Events about pods. Every entry has two texts: for one pod, and for many that have something in common.

// reportCreated reports a created pod. A node without a pod needs no explanation.
func (r *Reconciler) reportCreated(owner *daemon.Workload, node string, pod *corev1.Pod, action *daemon.Action) {
	entry := notify.Entry{Related: notify.Reference(pod), One: fmt.Sprintf("Created pod %s for node %s", pod.Name, node), Many: "Created %s"}
	if action.Reason != daemon.ReasonMissing {
		entry.One += ": " + action.Message
		entry.Why = action.Why
	}
	r.events.Note(owner.Metadata(), corev1.EventTypeNormal, eventCreated, actionCreate, entry)
}

// reportRefused reports a pod that was not created. A namespace that is being deleted accepts no events: then the
// event regards the namespace, and is stored in another one.
func (r *Reconciler) reportRefused(owner *daemon.Workload, node string, err error) {
	problem := answers.Problem(err)
	entry := notify.Entry{One: fmt.Sprintf("The pod for node %s was not created: %s", node, problem.Message)}
	if refused := new(answers.PodError); errors.As(err, &refused) {
		entry.Related = notify.PodReference(owner.Key.Namespace, refused.Pod, "")
		entry.Many, entry.Why, entry.Cause = "%s were not created", problem.Message, problem.Cause
	}
	if regarding, related := notify.Regarding(owner, err); related != nil {
		entry.Related, entry.Many = notify.Reference(related), ""
		r.events.Note(regarding, corev1.EventTypeWarning, problem.Reason, actionCreate, entry)
		return
	}
	r.events.Note(owner.Metadata(), corev1.EventTypeWarning, problem.Reason, actionCreate, entry)
}

func (r *Reconciler) reportDeleted(owner *daemon.Workload, action *daemon.Action) {
	r.events.Note(owner.Metadata(), corev1.EventTypeNormal, eventDeleted, actionDelete, notify.Entry{
		Related: notify.PodReference(owner.Key.Namespace, action.Pod.Name, action.Pod.UID),
		One:     fmt.Sprintf("Deleted pod %s: %s", action.Pod.Name, action.Message),
		Many:    "Deleted %s", Why: action.Why,
	})
}

func (r *Reconciler) reportNotDeleted(owner *daemon.Workload, action *daemon.Action, err error) {
	cause := answers.Explain(err)
	r.events.Note(owner.Metadata(), corev1.EventTypeWarning, eventFailedDelete, actionDelete, notify.Entry{
		Related: notify.PodReference(owner.Key.Namespace, action.Pod.Name, action.Pod.UID),
		One:     fmt.Sprintf("Pod %s was not deleted: %s. It has to be deleted: %s", action.Pod.Name, cause, action.Message),
		Many:    "%s were not deleted", Why: cause,
	})
}

// reportEnd reports a finished pod, with apps/v1's names of such events.
func (r *Reconciler) reportEnd(owner *daemon.Workload, node string, pod *daemon.Pod) {
	eventType, reason, how := corev1.EventTypeNormal, eventPodSucceeded, "succeeded"
	if pod.Failed {
		eventType, reason, how = corev1.EventTypeWarning, eventPodFailed, "failed"
	}
	r.events.Note(owner.Metadata(), eventType, reason, actionDelete, notify.Entry{
		Related: notify.PodReference(owner.Key.Namespace, pod.Name, pod.UID),
		One:     fmt.Sprintf("Pod %s on node %s has %s; it is replaced", pod.Name, node, how),
		Many:    "%s have " + how + "; they are replaced",
	})
}

func (r *Reconciler) reportClaimed(owner *daemon.Workload, pod *model.Pod, did, why string) {
	r.events.Note(owner.Metadata(), corev1.EventTypeNormal, eventClaimed, actionClaim, notify.Entry{
		Related: notify.PodReference(pod.GetNamespace(), pod.Name, pod.UID),
		One:     fmt.Sprintf("Pod %s is %s: %s", pod.Name, did, why),
		Many:    "%s are " + did, Why: why,
	})
}

func (r *Reconciler) reportNotClaimed(owner *daemon.Workload, pod *model.Pod, did, why string, err error) {
	cause := answers.Explain(err)
	r.events.Note(owner.Metadata(), corev1.EventTypeWarning, eventFailedClaim, actionClaim, notify.Entry{
		Related: notify.PodReference(pod.GetNamespace(), pod.Name, pod.UID),
		One:     fmt.Sprintf("Pod %s was not %s: %s. It has to be, for %s", pod.Name, did, cause, why),
		Many:    "%s were not " + did, Why: cause,
	})
}
