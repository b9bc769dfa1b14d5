package model

import (
	"testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

func (s *state) setStop(stop daemon.Stop) { s.update(func(u Update) { u.SetStop(stop) }) }

// The emergency stop holds a rollout as a pause does, and its end continues it.
func TestEmergencyStop(t *testing.T) {
	r := newRolling(t, 3, v1alpha1.Rollout{})
	r.setStop(daemon.Stop{On: true})
	r.edits(image("image:2"))
	wantStrings(t, "targets", []string{"n0 image:1", "n1 image:1", "n2 image:1"}, r.targets())
	if _, health := r.health(keyOf(r.set)); health.Closed == nil || health.Closed.Reason != v1alpha1.ReasonEmergencyStop {
		t.Errorf("the health has %+v", health.Closed)
	}
	r.setStop(daemon.Stop{})
	wantStrings(t, "targets after the stop", []string{"n0 image:2", "n1 image:2", "n2 image:2"}, r.targets())
	if got := r.replaced(); len(got) != 1 {
		t.Errorf("after the stop %v are replaced, want one node", got)
	}
	r.setStop(daemon.Stop{On: true})
	wantStrings(t, "targets in another stop", []string{"n0 image:1", "n1 image:1", "n2 image:1"}, r.targets())
	if got := r.replaced(); len(got) != 0 {
		t.Errorf("in another stop %v are replaced", got)
	}
}

// replaced returns the nodes whose pod is to be deleted.
func (r *rolling) replaced() (nodes []string) {
	for _, node := range []string{"n0", "n1", "n2"} {
		if got := r.task(keyOf(r.set).On(node)).Actions; len(got) == 1 && got[0].Op == daemon.Delete {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Only daemons with a rollout that is not complete are woken.
func TestEmergencyStopWakesNoOther(t *testing.T) {
	r := newRolling(t, 3, v1alpha1.Rollout{})
	r.queues.Drain()
	r.setStop(daemon.Stop{On: true})
	r.setStop(daemon.Stop{})
	r.queues.Want(t, nil, nil)
}
