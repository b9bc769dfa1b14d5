package controller

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
)

// What is told of pods. Every entry has two texts: for one pod, and for many that have something in
// common.

// tellCreated tells of a pod that was made. That a node had none needs no explanation.
func (a *actor) tellCreated(owner *v1alpha1.DaemonSet, node string, pod *corev1.Pod, action *daemon.Action) {
	told := entry{related: referenceTo(pod), one: fmt.Sprintf("Created pod %s for node %s", pod.Name, node), many: "Created %s"}
	if action.Reason != daemon.ReasonMissing {
		told.one += ": " + action.Message
		told.why = action.Why
	}
	a.events.note(owner, corev1.EventTypeNormal, eventCreated, actionCreate, told)
}

// tellRefused tells of a pod that was not made. A namespace that is being deleted takes no events either:
// then it is about the namespace, and kept in another one.
func (a *actor) tellRefused(owner *v1alpha1.DaemonSet, node string, err error) {
	problem := answers.Problem(err)
	told := entry{one: fmt.Sprintf("The pod for node %s was not created: %s", node, problem.Message)}
	if refused := new(answers.PodError); errors.As(err, &refused) {
		told.related = podReference(owner.Namespace, refused.Pod, "")
		told.many, told.why, told.cause = "%s were not created", problem.Message, problem.Cause
	}
	if regarding, related := toldOf(owner, err); related != nil {
		told.related, told.many = referenceTo(related), ""
		a.events.note(regarding, corev1.EventTypeWarning, problem.Reason, actionCreate, told)
		return
	}
	a.events.note(owner, corev1.EventTypeWarning, problem.Reason, actionCreate, told)
}

func (a *actor) tellDeleted(owner *v1alpha1.DaemonSet, action *daemon.Action) {
	a.events.note(owner, corev1.EventTypeNormal, eventDeleted, actionDelete, entry{
		related: podReference(owner.Namespace, action.Pod.Name, action.Pod.UID),
		one:     fmt.Sprintf("Deleted pod %s: %s", action.Pod.Name, action.Message),
		many:    "Deleted %s", why: action.Why,
	})
}

func (a *actor) tellNotDeleted(owner *v1alpha1.DaemonSet, action *daemon.Action, err error) {
	cause := answers.Told(err)
	a.events.note(owner, corev1.EventTypeWarning, eventFailedDelete, actionDelete, entry{
		related: podReference(owner.Namespace, action.Pod.Name, action.Pod.UID),
		one:     fmt.Sprintf("Pod %s was not deleted: %s. It has to go: %s", action.Pod.Name, cause, action.Message),
		many:    "%s were not deleted", why: cause,
	})
}

// tellOfEnd tells of a pod that has finished, by the names that apps/v1 gives such events.
func (a *actor) tellOfEnd(owner *v1alpha1.DaemonSet, node string, pod *daemon.Pod) {
	eventType, reason, how := corev1.EventTypeNormal, eventPodSucceeded, "succeeded"
	if pod.Failed {
		eventType, reason, how = corev1.EventTypeWarning, eventPodFailed, "failed"
	}
	a.events.note(owner, eventType, reason, actionDelete, entry{
		related: podReference(owner.Namespace, pod.Name, pod.UID),
		one:     fmt.Sprintf("Pod %s on node %s has %s; it is replaced", pod.Name, node, how),
		many:    "%s have " + how + "; they are replaced",
	})
}

func (a *actor) tellClaimed(owner *v1alpha1.DaemonSet, pod *seenPod, did, why string) {
	a.events.note(owner, corev1.EventTypeNormal, eventClaimed, actionClaim, entry{
		related: podReference(pod.Namespace, pod.Name, pod.UID),
		one:     fmt.Sprintf("Pod %s is %s: %s", pod.Name, did, why),
		many:    "%s are " + did, why: why,
	})
}

func (a *actor) tellNotClaimed(owner *v1alpha1.DaemonSet, pod *seenPod, did, why string, err error) {
	cause := answers.Told(err)
	a.events.note(owner, corev1.EventTypeWarning, eventFailedClaim, actionClaim, entry{
		related: podReference(pod.Namespace, pod.Name, pod.UID),
		one:     fmt.Sprintf("Pod %s was not %s: %s. It has to be, for %s", pod.Name, did, cause, why),
		many:    "%s were not " + did, why: cause,
	})
}
