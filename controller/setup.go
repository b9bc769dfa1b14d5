package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/controller/pace"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

// Options are what an operator may choose.
type Options struct {
	Kinds Kinds
	// Caches are those of the manager.
	Caches    *Caches
	Placement placement.Mode
	// NoPolicy says why no policy can place pods in this cluster, and what to do; "" when one can.
	NoPolicy string
	// Workers is how many cells are worked on at a time.
	Workers int
}

// Options trim what the manager's cache keeps to what the controller looks at.
func (c *Caches) Options() cache.Options {
	options := cache.Options{
		NewInformer:                 c.newInformer,
		Scheme:                      cacheScheme,
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&leanNode{}:                  {Transform: trimNode},
			&leanPod{}:                   {Transform: trimPod(c.kinds)},
			&appsv1.ControllerRevision{}: {Transform: c.kinds.TrimRevision},

			&policyv1.PodDisruptionBudget{}: {Transform: trimBudget},
		},
	}
	for _, object := range objectsOf(c.kinds) {
		options.ByObject[object] = cache.ByObject{Transform: trimSet}
	}
	return options
}

// Setup adds the controller to a manager: one controller for cells, one for status, one for the
// history of revisions, and the placer's probe.
func Setup(mgr manager.Manager, options Options) error {
	observer := newObserver(options.Kinds, mgr.GetCache())
	observer.caches = options.Caches
	for name, check := range options.Caches.Checks() {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding the readiness check %s: %w", name, err)
		}
	}
	world := newState(options.Kinds, rand.Text(), time.Now, observer.enqueuers())
	observer.world = world
	observer.owners = newOwners(world, mgr.GetAPIReader(), time.Now)
	observer.budgets = newBudgets(world.reportSelected)
	recorder, err := setUpEvents(mgr)
	if err != nil {
		return err
	}
	sampler := newSampler(world)
	placer := placement.New(placement.Options{
		Client: mgr.GetClient(), Mode: options.Placement, NoPolicy: options.NoPolicy,
		Samples: sampler.samples, Answered: sampler.answer, Flipped: announce(world, recorder),
	})

	if err := setUpCells(mgr, options, observer, placer, recorder); err != nil {
		return err
	}
	if err := setUpStatus(mgr, observer, placer, recorder); err != nil {
		return err
	}
	if err := setUpHistory(mgr, observer, recorder); err != nil {
		return err
	}
	scrub := &scrubber{world: world, synced: observer.synced, pods: func() toolscache.Store { return observer.pods }}
	if err := mgr.Add(scrub); err != nil {
		return fmt.Errorf("adding the scrub of cells: %w", err)
	}
	if err := mgr.Add(every(placement.ProbeInterval, placer.Probe)); err != nil {
		return fmt.Errorf("adding the probe of placement admission: %w", err)
	}
	return nil
}

// setUpCells adds the controller of cells to a manager.
func setUpCells(mgr manager.Manager, options Options, observer *observer, placer *placement.Placer, recorder notify.Recorder) error {
	cells, err := controller.NewTyped("cells", mgr, controller.TypedOptions[daemon.CellKey]{
		MaxConcurrentReconciles: options.Workers,
		RateLimiter:             answers.Refused[daemon.CellKey](),
		Reconciler: &actor{
			kinds: options.Kinds, world: observer.world, client: mgr.GetClient(), reader: mgr.GetAPIReader(),
			placer: placer, gate: pace.New(options.Workers), refusals: observer.refusals, owners: observer.owners,
			events: recorder, unanswered: answers.Unanswered[daemon.CellKey](),
		},
	})
	if err != nil {
		return fmt.Errorf("setting up the controller of cells: %w", err)
	}
	if err := cells.Watch(cellSource{observer}); err != nil {
		return fmt.Errorf("watching for cells: %w", err)
	}
	return nil
}

// setUpStatus adds the controller of status to a manager.
func setUpStatus(mgr manager.Manager, observer *observer, placer *placement.Placer, recorder notify.Recorder) error {
	reporter := &reporter{
		world: observer.world, client: mgr.GetClient(), placer: placer, budgets: observer.budgets, events: recorder,
		written: map[model.DaemonKey]time.Time{},
	}
	// Each of a pod's events asks for the status: without the wait each would cost a pass of the queue.
	observer.status.wait = reporter.wait
	status, err := controller.NewTyped("status", mgr, controller.TypedOptions[model.DaemonKey]{
		MaxConcurrentReconciles: 2,
		Reconciler:              reporter,
	})
	if err != nil {
		return fmt.Errorf("setting up the controller of status: %w", err)
	}
	if err := status.Watch(daemonSource{observer, observer.status}); err != nil {
		return fmt.Errorf("watching for status: %w", err)
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
