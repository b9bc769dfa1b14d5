package state_test

import (
	"testing"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// What an observation wakes is enqueued while the model is not locked: a queue that asks the model gets an answer.
func TestQueuesAreCalledUnlocked(t *testing.T) {
	var s *statetest.State
	statuses, histories := 0, 0
	planned := map[string]bool{}
	s = statetest.Of(statetest.Everynode, state.New(statetest.Everynode, "", (&fixture.Clock{Time: fixture.T0}).Now, state.Queues{
		Cell:    func(cell daemon.CellKey, _ int32) { planned[cell.Node] = len(s.Task(cell).Actions) > 0 },
		Status:  func(key daemon.WorkloadKey) { statuses++; s.Health(key) },
		History: func(key daemon.WorkloadKey) { histories++; s.Subject(key) },
	}))
	s.Update(model.Update.Begin)
	s.See(t, fixture.Daemon("d"))
	s.SeeNode(fixture.Node("n1"))
	if statuses == 0 || histories == 0 || !planned["n1"] {
		t.Errorf("%d statuses, %d histories and the cells %v were enqueued; want some of each, and a pod to create on n1", statuses, histories, planned)
	}
}

// steps is work that notes in which order it is done.
type steps struct {
	left int
	done []string
}

func (s *steps) Step(model.Update) (more bool) {
	s.left--
	s.done = append(s.done, "step")
	return s.left > 0
}

func (s *steps) Compute() { s.done = append(s.done, "compute") }

// Work is done to its end, and computes between two steps.
func TestRunDoesAllSteps(t *testing.T) {
	s, _, _ := statetest.New()
	work := &steps{left: 3}
	s.Run(work)
	fixture.WantStrings(t, "what was done", []string{"step", "compute", "step", "compute", "step"}, work.done)
}
