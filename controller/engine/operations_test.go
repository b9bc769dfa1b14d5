package engine

import (
	"strings"
	"testing"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// What a plan asks for and nobody knows is an error, and nothing is deleted in its place.
func TestUnknownOperationIsAnError(t *testing.T) {
	t.Run("of a cell", func(t *testing.T) {
		s := newStage(t)
		task := task{Task: s.world.startTask(daemon.CellKey{Namespace: s.set.Namespace, Owner: s.set.UID, Node: s.node.Name})}
		for _, op := range []daemon.Op{"", "Replace", daemon.Keep} {
			err := s.actor.do(t.Context(), daemon.CellKey{Node: s.node.Name}, &task, daemon.Action{Op: op})
			if err == nil || !strings.Contains(err.Error(), "is unknown") {
				t.Errorf("%q: %v, want an error", op, err)
			}
		}
	})
	t.Run("of a template that is not known", func(t *testing.T) {
		s := newStage(t)
		cell := daemon.CellKey{Namespace: s.set.Namespace, Owner: s.set.UID, Node: s.node.Name}
		task := task{Task: s.world.startTask(cell)}
		task.Template = nil
		err := s.actor.do(t.Context(), cell, &task, daemon.Action{Op: daemon.Create, Revision: "r7"})
		if err == nil || !strings.Contains(err.Error(), "revision r7 is not known") {
			t.Errorf("%v, want an error", err)
		}
	})
	t.Run("of history", func(t *testing.T) {
		s := newShelf(t)
		for op, known := range map[daemon.Op]bool{"": false, "Replace": false, daemon.Keep: true} {
			err := s.historian.do(t.Context(), &model.Subject{Object: s.set}, daemon.HistoryStep{Op: op})
			if known != (err == nil) {
				t.Errorf("%q: %v", op, err)
			}
		}
		if len(s.requests) > 0 {
			t.Errorf("requests: %v, want none", s.requests)
		}
	})
}
