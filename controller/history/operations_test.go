package history

import (
	"testing"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// An unknown operation of a plan is an error.
func TestUnknownOperationIsAnError(t *testing.T) {
	s := newShelf(t)
	for op, known := range map[daemon.Op]bool{"": false, "Replace": false, daemon.Keep: true} {
		err := s.reconciler.do(t.Context(), &model.Subject{Workload: fixture.Workload(s.set)}, daemon.HistoryStep{Op: op})
		if known != (err == nil) {
			t.Errorf("%q: %v", op, err)
		}
	}
	if len(s.requests) > 0 {
		t.Errorf("requests: %v, want none", s.requests)
	}
}
