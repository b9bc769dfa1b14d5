package engine

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	utilclock "k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/controller/cells"
	"github.com/everynode/everynode/controller/history"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/controller/status"
	"github.com/everynode/everynode/internal/daemon"
)

// Deps are what an engine works with. Nothing else reaches it: no other clock, no other source of random texts.
type Deps struct {
	Kinds    model.Kinds
	Clock    utilclock.PassiveClock
	Client   client.Client
	Reader   client.Reader // of the API server, not of the cache
	Recorder notify.Recorder
	Queues   Queues
	// Pods are those that the cache has, for the scrub.
	Pods PodStore
	Log  logr.Logger
	// Nonce is in the names of pods that come after none that is known. No process ever had the same.
	Nonce string

	Placement placement.Mode
	// NoPolicy is why no policy can place pods in this cluster; "" when one can.
	NoPolicy string
	// Workers is how many cells are worked on at a time.
	Workers int
}

// Queues wake the three reconcilers. The functions must not block and not call the engine.
type Queues struct {
	Cell func(cell daemon.CellKey, priority int32)
	// Status has a daemon worked on after a time: each of a pod's events asks for the status, which is seldom written.
	Status  func(key daemon.WorkloadKey, after time.Duration)
	History func(daemon.WorkloadKey)
}

// Engine is the controller without a cluster and without a goroutine: functions for what informers see, for what
// queues give, and for what happens at intervals. It reads no clock but its own, and no order of a map reaches what it
// does: called with the same in the same order, it sends the same requests. It is safe for concurrent use, except for
// Scrub.
type Engine struct {
	state   *state.State
	placer  *placement.Placer
	cells   *cells.Reconciler
	status  *status.Reconciler
	history *history.Reconciler
	budgets *status.Budgets
	scrub   *scrubber
	log     logr.Logger
}

// New makes an engine that has seen nothing.
func New(deps Deps) *Engine {
	e := &Engine{log: deps.Log}
	e.state = state.New(deps.Kinds, deps.Nonce, deps.Clock.Now, state.Queues{
		Cell:    deps.Queues.Cell,
		Status:  func(key daemon.WorkloadKey) { deps.Queues.Status(key, e.status.Wait(key)) },
		History: deps.Queues.History,
	})
	sampler := newSampler(e.state)
	e.placer = placement.New(placement.Options{
		Client: deps.Client, Mode: deps.Placement, NoPolicy: deps.NoPolicy,
		Samples: sampler.Samples, Answered: sampler.Answered, Flipped: announce(e.state, deps.Recorder),
	})
	e.cells = cells.New(cells.Deps{
		Kinds: deps.Kinds, State: e.state, Client: deps.Client, Reader: deps.Reader, Placer: e.placer,
		Recorder: deps.Recorder, Workers: deps.Workers,
	})
	e.history = history.New(history.Deps{
		Kinds: deps.Kinds, State: e.state, Client: deps.Client, Reader: deps.Reader, Recorder: deps.Recorder,
	})
	e.budgets = status.NewBudgets(e.state)
	e.status = status.New(status.Deps{
		State: e.state, Client: deps.Client, Placer: e.placer, Budgets: e.budgets, Recorder: deps.Recorder,
	})
	e.scrub = &scrubber{state: e.state, pods: deps.Pods}
	return e
}

// Begin lets work begin: everything that there is was seen.
func (e *Engine) Begin() { e.state.Update(model.Update.Begin) }

// ReconcileCell plans a cell and acts.
func (e *Engine) ReconcileCell(ctx context.Context, key daemon.CellKey) (reconcile.Result, error) {
	return e.cells.Reconcile(ctx, key)
}

// ReconcileStatus writes a daemon's status.
func (e *Engine) ReconcileStatus(ctx context.Context, key daemon.WorkloadKey) (reconcile.Result, error) {
	return e.status.Reconcile(ctx, key)
}

// ReconcileHistory keeps a daemon's ControllerRevisions.
func (e *Engine) ReconcileHistory(ctx context.Context, key daemon.WorkloadKey) (reconcile.Result, error) {
	return e.history.Reconcile(ctx, key)
}

// Probe asks, while admission is not effective, whether it is. To be called every placement.ProbeInterval.
func (e *Engine) Probe(ctx context.Context) { e.placer.Probe(ctx) }

// ProbeBlocked tries by dry runs whether blocked nodes still are. To be called every cells.BlockedInterval.
func (e *Engine) ProbeBlocked(ctx context.Context) { e.cells.ProbeBlocked(ctx) }

// Scrub compares a part of what is known with the cache. To be called every ScrubInterval, once Begin was.
func (e *Engine) Scrub(ctx context.Context) { e.scrub.step(ctx) }
