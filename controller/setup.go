package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/cells"
	"github.com/everynode/everynode/controller/engine"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

// Options are the operator's settings.
type Options struct {
	Kinds Kinds
	// Caches are the manager's caches.
	Caches    *caches.Caches
	Placement placement.Mode
	// NoPolicy is the reason why no policy can place pods in this cluster, and the remedy; "" if one can.
	NoPolicy string
	// Workers is how many cells are processed concurrently.
	Workers int
}

// Setup adds an engine to a manager, with its informers, queues, goroutines and intervals.
func Setup(mgr manager.Manager, options Options) error {
	for name, check := range options.Caches.Checks() {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding the readiness check %s: %w", name, err)
		}
	}
	recorder, err := setUpEvents(mgr)
	if err != nil {
		return err
	}
	s := newSources(options.Caches, mgr.GetCache())
	s.engine = engine.New(engine.Deps{
		Kinds: options.Kinds, Clock: clock.RealClock{}, Client: impatient{mgr.GetClient()}, Reader: mgr.GetAPIReader(), Recorder: recorder,
		Queues: s.queues(), Pods: s, Log: mgr.GetLogger(), Nonce: rand.Text(),
		Placement: options.Placement, NoPolicy: options.NoPolicy, Workers: options.Workers,
	})
	return s.attach(mgr, options.Workers)
}

// attach adds the three controllers to a manager, the probe and the scrub.
func (s *sources) attach(mgr manager.Manager, workers int) error {
	cellController, err := controller.NewTyped("cells", mgr, controller.TypedOptions[daemon.CellKey]{
		MaxConcurrentReconciles: workers,
		RateLimiter:             answers.Refused[daemon.CellKey](),
		Reconciler:              reconcile.TypedFunc[daemon.CellKey](s.engine.ReconcileCell),
	})
	if err != nil {
		return fmt.Errorf("setting up the controller of cells: %w", err)
	}
	if err := cellController.Watch(cellSource{s}); err != nil {
		return fmt.Errorf("watching for cells: %w", err)
	}
	if err := s.attachDaemons(mgr, s.status, controller.TypedOptions[daemon.WorkloadKey]{
		Reconciler: reconcile.TypedFunc[daemon.WorkloadKey](s.engine.ReconcileStatus),
	}); err != nil {
		return err
	}
	if err := s.attachDaemons(mgr, s.history, controller.TypedOptions[daemon.WorkloadKey]{
		RateLimiter: answers.Refused[daemon.WorkloadKey](),
		Reconciler:  reconcile.TypedFunc[daemon.WorkloadKey](s.engine.ReconcileHistory),
	}); err != nil {
		return err
	}
	if err := mgr.Add(s.afterSync(every(engine.ScrubInterval, s.engine.Scrub))); err != nil {
		return fmt.Errorf("adding the scrub of cells: %w", err)
	}
	if err := mgr.Add(s.afterSync(s.listStop)); err != nil {
		return fmt.Errorf("adding the emergency stop: %w", err)
	}
	if err := mgr.Add(every(placement.ProbeInterval, s.engine.Probe)); err != nil {
		return fmt.Errorf("adding the probe of placement admission: %w", err)
	}
	if err := mgr.Add(every(cells.BlockedInterval, s.engine.ProbeBlocked)); err != nil {
		return fmt.Errorf("adding the probe of blocked nodes: %w", err)
	}
	return nil
}

// attachDaemons adds a controller whose keys are daemons.
func (s *sources) attachDaemons(mgr manager.Manager, queue *daemonQueue, options controller.TypedOptions[daemon.WorkloadKey]) error {
	options.MaxConcurrentReconciles = 2
	daemons, err := controller.NewTyped(queue.name, mgr, options)
	if err != nil {
		return fmt.Errorf("setting up the controller of %s: %w", queue.name, err)
	}
	if err := daemons.Watch(daemonSource{s, queue}); err != nil {
		return fmt.Errorf("watching for %s: %w", queue.name, err)
	}
	return nil
}

// every calls f at intervals for as long as this replica leads.
func every(interval time.Duration, f func(context.Context)) manager.RunnableFunc {
	return func(ctx context.Context) error {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				f(ctx)
			}
		}
	}
}

// afterSync runs f once all initial objects were observed.
func (s *sources) afterSync(run manager.RunnableFunc) manager.RunnableFunc {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.synced:
			return run(ctx)
		}
	}
}
