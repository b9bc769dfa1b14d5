package cells

import (
	"strings"
	"testing"

	"github.com/everynode/everynode/internal/daemon"
)

// An unknown operation of a plan is an error, and nothing is deleted instead.
func TestUnknownOperationIsAnError(t *testing.T) {
	t.Run("of a cell", func(t *testing.T) {
		s := newStage(t)
		task := s.reconciler.start(stageKey)
		for _, op := range []daemon.Op{"", "Replace", daemon.Keep} {
			err := s.reconciler.do(t.Context(), stageKey, &task, daemon.Action{Op: op})
			if err == nil || !strings.Contains(err.Error(), "is unknown") {
				t.Errorf("%q: %v, want an error", op, err)
			}
		}
	})
	t.Run("of a template that is not known", func(t *testing.T) {
		s := newStage(t)
		task := s.reconciler.start(stageKey)
		task.Template = nil
		err := s.reconciler.do(t.Context(), stageKey, &task, daemon.Action{Op: daemon.Create, Revision: "r7"})
		if err == nil || !strings.Contains(err.Error(), "revision r7 is not known") {
			t.Errorf("%v, want an error", err)
		}
	})
}
