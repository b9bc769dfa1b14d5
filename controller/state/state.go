package state

import (
	"sync"
	"time"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// State is the model with its lock. It is safe for concurrent use.
type State struct {
	now    func() time.Time
	queues Queues
	mu     sync.Mutex
	model  *model.Model
	wakes  sync.Pool
}

// Queues receive the keys that an observation triggers. The functions are called while the model is not locked.
type Queues struct {
	Cell    func(cell daemon.CellKey, priority int32)
	Status  func(daemon.WorkloadKey)
	History func(daemon.WorkloadKey)
}

// New returns a State without observations. The nonce is part of the names of pods without a known predecessor.
func New(kinds model.Kinds, nonce string, now func() time.Time, queues Queues) *State {
	return &State{now: now, queues: queues, model: model.New(kinds, nonce), wakes: sync.Pool{New: func() any { return &model.Wake{} }}}
}

// Now returns the time of the next observation.
func (s *State) Now() time.Time { return s.now() }

// Update passes an observation or a query to the model, and executes the resulting work.
func (s *State) Update(observe func(model.Update)) { s.deliver(s.locked(observe)) }

// Run executes all steps of work. The model is not locked between two steps.
func (s *State) Run(work model.Work) {
	for more := true; more; {
		s.Update(func(u model.Update) { more = work.Step(u) })
		if more {
			work.Compute()
		}
	}
}

func (s *State) locked(observe func(model.Update)) *model.Wake {
	s.mu.Lock()
	defer s.mu.Unlock()
	wake := s.wakes.Get().(*model.Wake)
	observe(s.model.Update(s.now(), wake))
	return wake
}

func (s *State) deliver(wake *model.Wake) {
	for _, cell := range wake.Cells {
		s.queues.Cell(cell.Key, cell.Priority)
	}
	for _, key := range wake.Statuses {
		s.queues.Status(key)
	}
	for _, key := range wake.Histories {
		s.queues.History(key)
	}
	for _, work := range wake.Work {
		s.Run(work)
	}
	wake.Reset()
	s.wakes.Put(wake)
}
