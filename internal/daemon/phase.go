package daemon

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// RolloutHealth is the state of a daemon's rollout.
type RolloutHealth struct {
	Stable, Update string // revisions
	Hold           *Hold
	Wave           *WaveHealth // nil when no wave is open
}

// WaveHealth is the state of the open wave.
type WaveHealth struct {
	*Wave
	Index  int
	Answer Answer
}

// complete reports whether the update revision is stable. Without a rollout nothing else is.
func (r *RolloutHealth) complete() bool { return r == nil || r.Stable == r.Update }

// gate returns what the open wave waits for after its nodes; an empty phase if it does not.
func (r *RolloutHealth) gate() Answer {
	if r.complete() || r.Wave == nil {
		return Answer{}
	}
	return r.Wave.Answer
}

// restricts reports whether the rollout keeps the update revision from becoming stable, whatever the nodes have.
func (r *RolloutHealth) restricts(desired int) bool {
	return !r.complete() && r.Hold.restricts(desired)
}

// paused reports whether pods are not replaced.
func (h *Health) paused() bool { return h.Rollout != nil && h.Rollout.Hold.Paused }

// closes reports whether the rollout waits because it is closed, given how many nodes do not have what they should. Under OnDelete
// they wait for a user, unless spec.rollout holds them back.
func (h *Health) closes(behind int) bool {
	return h.Closed != nil && (behind > 0 && !h.OnDelete || !h.Rollout.complete())
}

// held describes the nodes that are held back.
func (h *Health) held() string {
	if h.Rollout.complete() {
		return ""
	}
	return fmt.Sprintf(", %d are held on revision %s", h.Held, h.Rollout.Stable)
}

// RolloutStatus returns the status of the rollout, nil without one.
func (h *Health) RolloutStatus() *v1alpha1.RolloutStatus {
	if h.Rollout == nil {
		return nil
	}
	return &v1alpha1.RolloutStatus{CurrentRevision: h.Rollout.Stable, UpdateRevision: h.Rollout.Update, Phase: h.phase(), Wave: h.wave(), Unavailable: h.unavailableNodes()}
}

// wave describes the open wave, nil if none is.
func (h *Health) wave() *v1alpha1.WaveStatus {
	if h.Suspended || h.Rollout.complete() || h.Rollout.Wave == nil {
		return nil
	}
	status := &v1alpha1.WaveStatus{
		Name: h.Rollout.Wave.Name, Index: number(h.Rollout.Wave.Index), Nodes: number(h.Done + h.Lagging),
		Updated: number(h.Updated), Available: number(h.Done),
	}
	if since := h.Rollout.Wave.Answer.Mark.Since; !since.IsZero() {
		status.Since = &metav1.Time{Time: since}
	}
	return status
}

// phase says of a rollout what Progressing says of the daemon: pods that are missing while nothing is rolled out do not
// concern it.
func (h *Health) phase() v1alpha1.RolloutPhase {
	behind := h.Current - h.Updated - h.ExcusedBehind
	stale := behind - h.Held + h.Astray
	switch complete := h.Rollout.complete(); {
	case h.Suspended:
		return v1alpha1.RolloutSuspended
	case complete && behind <= 0:
		return v1alpha1.RolloutComplete
	case h.paused():
		return v1alpha1.RolloutPaused
	case h.closes(behind):
		return v1alpha1.RolloutHeld
	case h.Current < h.Desired:
	case stale > 0 && h.OnDelete, h.Dead.Halts:
		return v1alpha1.RolloutHeld
	case stale <= 0 && h.Pending == 0 && h.Rollout.gate().Phase != "":
		return h.Rollout.gate().Phase
	case h.Rollout.Wave != nil && h.Lagging > 0:
	case stale <= 0 && h.Pending == 0 && h.Rollout.restricts(h.Desired):
		return v1alpha1.RolloutHeld
	}
	return v1alpha1.RolloutProgressing
}
