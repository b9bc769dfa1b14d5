package daemon

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// What conditions and the phase say of a rollout whose update revision has failed, or cannot be pulled.

// failed reports whether there is a verdict on the update revision, which is not stable.
func (r *RolloutHealth) failed() bool { return !r.complete() && r.Ruling != nil && r.Ruling.Failed() }

// Returns reports whether every node returns to the stable revision, because of a ruling.
func (h *Hold) Returns(ruling *Ruling) bool {
	return ruling.Failed() && (ruling.Returns || h.Failure.OnFailure == v1alpha1.OnFailureRollback)
}

// AfterRuling returns what is held back with a ruling on the update revision.
func (h *Hold) AfterRuling(ruling *Ruling) *Hold {
	if ruling.Failed() && h.Failure.OnFailure == v1alpha1.OnFailurePause && !h.Returns(ruling) {
		return h.AfterFailure()
	}
	return h
}

// failedPhase is the phase that a verdict causes, or a failing pull; empty without one.
func (h *Health) failedPhase() v1alpha1.RolloutPhase {
	switch r := h.Rollout; {
	case h.returning():
		return v1alpha1.RolloutRollingBack
	case r.failed() && (r.Hold.Returns(r.Ruling) || r.Hold.Failure.OnFailure == v1alpha1.OnFailurePause):
		return v1alpha1.RolloutFailed
	case h.Pulling != "" && !h.paused():
		return v1alpha1.RolloutHeld
	}
	return ""
}

// returning reports whether nodes still have to return to the stable revision.
func (h *Health) returning() bool {
	r := h.Rollout
	return r.failed() && r.Hold.Returns(r.Ruling) && (h.Astray > 0 || h.Current < h.Desired)
}

// failedProgress is Progressing as a verdict causes it, or a failing pull; false without one.
func (h *Health) failedProgress(have, unscheduled string) (of metav1.Condition, caused bool) {
	const kind = v1alpha1.ConditionProgressing
	if h.Rollout == nil {
		return of, false
	}
	switch h.failedPhase() {
	case v1alpha1.RolloutRollingBack:
		if h.paused() {
			return condition(kind, false, reasonPaused, "%s; they have to return to revision %s, and the rollout is paused%s", have, h.Rollout.Stable, unscheduled), true
		}
		if h.Closed != nil {
			return condition(kind, false, h.Closed.Reason, "%d nodes have to return to revision %s; %s%s", h.Astray, h.Rollout.Stable, h.Closed.Message, unscheduled), true
		}
		return condition(kind, true, v1alpha1.ReasonRollingBack, "%d nodes have to return to revision %s%s", h.Astray, h.Rollout.Stable, unscheduled), true
	case v1alpha1.RolloutFailed:
		return condition(kind, false, v1alpha1.ReasonRevisionFailed, "%s; revision %s has failed%s", have, h.Rollout.Update, unscheduled), true
	case v1alpha1.RolloutHeld:
		return condition(kind, false, v1alpha1.ReasonImagePullFailing, "%s; %s, no further node is updated until it can be%s", have, h.Pulling, unscheduled), true
	}
	return of, false
}

// verdictStatus is the verdict in the status, also while it only is reported.
func (h *Health) verdictStatus() *v1alpha1.RolloutVerdict {
	if !h.Rollout.failed() {
		return nil
	}
	return h.Rollout.Ruling.Verdict(h.Rollout.Update)
}

// verdict describes the verdict, and what a user can do.
func (h *Health) verdict() string {
	r := h.Rollout
	text := fmt.Sprintf("revision %s has failed: %s", r.Update, r.Ruling.Message)
	if nodes := r.Ruling.Nodes; len(nodes) > 0 {
		text += ": " + list(nodes, max(r.Ruling.Count, len(nodes)))
	}
	next := "no further node is updated"
	switch {
	case r.Hold.Returns(r.Ruling):
		next = "nodes return to revision " + r.Stable
	case r.Hold.Failure.OnFailure == v1alpha1.OnFailureContinue:
		next = "the rollout continues"
	}
	return fmt.Sprintf("%s; %s; change the template, or set the annotation %s to %s/<number>", text, next, v1alpha1.RetryAnnotation, r.Update)
}
