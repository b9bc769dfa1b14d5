package daemon

import (
	"fmt"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Rollouts may be closed from outside of what they hold back. While one is closed, no node gets permission to be updated: no
// cell is admitted to the update revision, and no stale pod may be replaced. A permit that is not used yet ends; a replacement
// that has begun is finished. Missing pods are created, and pods that have to go for another reason are deleted: those of a
// suspended daemon, of nodes that it must leave, and those in excess.
//
// A daemon with spec.rollout is held as if it were paused, so that nodes that were not updated get the stable revision again.
// That costs a pass over the cells of a rollout that is not complete, and nothing otherwise.

// Closure is why a rollout is closed. Both texts are for conditions.
type Closure struct{ Reason, Message string }

// Stop is the emergency stop, as far as it is known. The zero value is off.
type Stop struct {
	On bool
	// Unknown: it was not read yet. That stops no less than a stop does, so that a restart during an incident ends none.
	Unknown bool
	// Reason is the user's.
	Reason string
}

// shownStopReason bounds the user's text in a condition.
const shownStopReason = 200

// NewStop reads the ConfigMap of the emergency stop.
func NewStop(data map[string]string) Stop {
	if data[v1alpha1.StopKey] != "true" {
		return Stop{}
	}
	return Stop{On: true, Reason: Shorten(data[v1alpha1.StopReasonKey], shownStopReason)}
}

// Closes reports whether no permission to update may be given. A nil Stop is off.
func (s *Stop) Closes() bool { return s != nil && (s.On || s.Unknown) }

// Closure is why the stop closes all rollouts, nil if it does not.
func (s *Stop) Closure() *Closure {
	const object = "ConfigMap " + v1alpha1.SystemNamespace + "/" + v1alpha1.StopName
	switch {
	case !s.Closes():
		return nil
	case !s.On:
		return &Closure{v1alpha1.ReasonEmergencyStop, "whether the emergency stop is on is not known, because " + object + " was not read yet; until then no pod is replaced"}
	}
	because := ""
	if s.Reason != "" {
		because = fmt.Sprintf(" (%s)", s.Reason)
	}
	return &Closure{v1alpha1.ReasonEmergencyStop, fmt.Sprintf("the emergency stop is on%s: no pod is replaced until %s is deleted", because, object)}
}

// Closed returns what a rollout holds back while it is closed: all nodes that are not updated.
func (h *Hold) Closed() *Hold {
	if h == nil || h.Paused {
		return h
	}
	closed := *h
	closed.Paused, closed.closed, closed.text = true, true, h.text+" closed"
	closed.joinOnUpdate, closed.joinsByWave = h.joinOnUpdate && !h.auto, false
	return &closed
}

// stopped reports whether the emergency stop keeps stale pods from being replaced.
func (c *Cells) stopped() bool { return c.Stop.Closes() && !c.terms.suspended }

// endUnused ends a permit that may not be used any more.
func (c *Cells) endUnused(cell *counted) (ended bool) {
	if cell.granted == nil || !c.exceedsBudget(cell) && !c.stopped() && !c.halted() {
		return false
	}
	cell.granted = nil // it waits for its turn again
	return true
}

// Rolling reports whether a rollout has anything left to do: stale pods wait, may be replaced or are being replaced, or
// nodes are held back.
func (c *Cells) Rolling() bool {
	r := &c.rollout
	return r.waiting != nil && r.waiting.Len() > 0 || r.taken > 0 || r.surging > 0 || c.sums.Held > 0
}
