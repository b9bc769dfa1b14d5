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

// Deps are an engine's dependencies. It has no others: no other clock and no other source of randomness.
type Deps struct {
	Kinds    model.Kinds
	Clock    utilclock.PassiveClock
	Client   client.Client
	Reader   client.Reader // of the API server, not of the cache
	Recorder notify.Recorder
	Queues   Queues
	// Pods are the pods in the cache, for the scrub.
	Pods PodStore
	Log  logr.Logger
	// Nonce is part of the names of pods without a known predecessor. It is unique to the process.
	Nonce string

	Placement placement.Mode
	// NoPolicy is the reason why no policy can place pods in this cluster; "" if one can.
	NoPolicy string
	// Workers is how many cells are processed concurrently.
	Workers int
}

// Queues trigger the three reconcilers. The functions must not block or call the engine.
type Queues struct {
	Cell func(cell daemon.CellKey, priority int32)
	// Status enqueues a daemon after a delay: every event of a pod requests a status, which is written rarely.
	Status  func(key daemon.WorkloadKey, after time.Duration)
	History func(daemon.WorkloadKey)
}

// Engine is the controller without a cluster and without goroutines: functions for observations of informers,
// for keys of queues, and for periodic work. It reads no clock but its own, and does not depend on the iteration
// order of maps: the same calls in the same order send the same requests. It is safe for concurrent use, except
// for Scrub.
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

// New returns an engine that has observed nothing.
func New(deps Deps) *Engine {
	e := &Engine{log: deps.Log}
	e.state = state.New(deps.Kinds, deps.Nonce, deps.Clock.Now, state.Queues{
		Cell:    deps.Queues.Cell,
		Status:  func(key daemon.WorkloadKey) { deps.Queues.Status(key, e.status.Wait(key)) },
		History: deps.Queues.History,
	})
	e.state.Update(func(u model.Update) { u.SetStop(daemon.Stop{Unknown: true}) })
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

// Begin starts the work, once all initial objects were observed.
func (e *Engine) Begin() { e.state.Update(model.Update.Begin) }

// ReconcileCell plans a cell and executes the plan.
func (e *Engine) ReconcileCell(ctx context.Context, key daemon.CellKey) (reconcile.Result, error) {
	return e.cells.Reconcile(ctx, key)
}

// ReconcileStatus writes a daemon's status.
func (e *Engine) ReconcileStatus(ctx context.Context, key daemon.WorkloadKey) (reconcile.Result, error) {
	return e.status.Reconcile(ctx, key)
}

// ReconcileHistory maintains a daemon's ControllerRevisions.
func (e *Engine) ReconcileHistory(ctx context.Context, key daemon.WorkloadKey) (reconcile.Result, error) {
	return e.history.Reconcile(ctx, key)
}

// Probe checks whether admission is effective again, while it is not. Call it every placement.ProbeInterval.
func (e *Engine) Probe(ctx context.Context) { e.placer.Probe(ctx) }

// ProbeBlocked checks by dry runs whether blocked nodes still are. Call it every cells.BlockedInterval.
func (e *Engine) ProbeBlocked(ctx context.Context) { e.cells.ProbeBlocked(ctx) }

// Scrub compares a part of the state with the cache. Call it every ScrubInterval, after Begin.
func (e *Engine) Scrub(ctx context.Context) { e.scrub.step(ctx) }
