package controller

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/engine"
	"github.com/everynode/everynode/internal/daemon"
)

// sources connect informers with the engine, and the engine with the three queues. No work begins before each
// controller has its queue and all initial objects were observed.
type sources struct {
	kinds   Kinds
	cache   cache.Cache
	caches  *caches.Caches
	engine  *engine.Engine
	cells   priorityqueue.PriorityQueue[daemon.CellKey]
	status  *daemonQueue
	history *daemonQueue
	synced  chan struct{} // closed when all initial objects were observed

	stopListed toolscache.InformerSynced // the emergency stop; set once all initial objects were observed
	pods       toolscache.Store          // the cache's pods; set once all initial objects were observed
}

func newSources(caches *caches.Caches, informers cache.Cache) *sources {
	return &sources{
		kinds:   caches.Kinds(),
		cache:   informers,
		caches:  caches,
		status:  newDaemonQueue("status"),
		history: newDaemonQueue("history"),
		synced:  make(chan struct{}),
	}
}

// queues are those of the three controllers. All of them exist before the first observation.
func (s *sources) queues() engine.Queues {
	return engine.Queues{
		Cell:    s.addCell,
		Status:  func(key daemon.WorkloadKey, after time.Duration) { s.status.AddAfter(key, after) },
		History: func(key daemon.WorkloadKey) { s.history.Add(key) },
	}
}

func (s *sources) addCell(cell daemon.CellKey, priority int32) {
	rank := int(priority)
	s.cells.AddWithOpts(priorityqueue.AddOpts{Priority: &rank}, cell)
}

// List and GetByKey return the pods with which the scrub compares.
func (s *sources) List() []any { return s.pods.List() }

// GetByKey implements PodStore.
func (s *sources) GetByKey(key string) (any, bool, error) { return s.pods.GetByKey(key) }

// observe registers the handlers and returns once each of them has processed all initial objects.
func (s *sources) observe(ctx context.Context) error {
	// The start does not wait for the emergency stop either: until it was read, only rollouts stand still.
	_, stop, err := s.watch(ctx, &corev1.ConfigMap{})
	if err != nil {
		return err
	}
	s.stopListed = stop.HasSynced
	s.caches.Handled(&corev1.ConfigMap{}, stop.HasSynced)
	var synced []toolscache.InformerSynced
	for _, object := range caches.Watched(s.kinds) {
		informer, registration, err := s.watch(ctx, object)
		if err != nil {
			return err
		}
		synced = append(synced, registration.HasSynced)
		s.caches.Handled(object, registration.HasSynced)
		stored, ok := informer.(toolscache.SharedInformer)
		if _, pods := object.(*caches.LeanPod); pods && ok {
			s.pods = stored.GetStore()
		}
	}
	// Nor for PodDisruptionBudgets, because no pod depends on them.
	if _, _, err := s.watch(ctx, &policyv1.PodDisruptionBudget{}); err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("waiting until every DaemonSet, node and pod was observed: %w", context.Cause(ctx))
	}
	if s.stopListed() { // usually; rollouts then need not be opened in a second pass
		s.engine.ConfigMapsListed()
	}
	return nil
}

// listStop reports that the emergency stop was read, whenever that is. It needs a permission that an operator may have removed.
func (s *sources) listStop(ctx context.Context) error {
	if toolscache.WaitForCacheSync(ctx.Done(), s.stopListed) {
		s.engine.ConfigMapsListed()
	}
	return nil
}

func (s *sources) watch(ctx context.Context, object client.Object) (cache.Informer, toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, nil, fmt.Errorf("watching %T: %w", object, err)
	}
	registration, err := informer.AddEventHandler(s.handler(object))
	if err != nil {
		return nil, nil, fmt.Errorf("watching %T: %w", object, err)
	}
	return informer, registration, nil
}

// handler handles the events of a kind.
func (s *sources) handler(object client.Object) toolscache.ResourceEventHandler {
	switch object.(type) {
	case *schedulingv1.PriorityClass:
		return handle(s.engine.PriorityClasses())
	case *nodev1.RuntimeClass:
		return handle(s.engine.RuntimeClasses())
	case *corev1.Namespace:
		return handle(s.engine.Namespaces())
	case *corev1.ResourceQuota:
		return handle(s.engine.ResourceQuotas())
	case *appsv1.ControllerRevision:
		return handle(s.engine.ControllerRevisions())
	case *corev1.ConfigMap:
		return handle(s.engine.ConfigMaps())
	case *policyv1.PodDisruptionBudget:
		return handle(s.engine.PodDisruptionBudgets())
	case *caches.LeanNode:
		return handle(s.engine.Nodes())
	case *caches.LeanPod:
		return handle(s.engine.Pods())
	}
	return handle(s.engine.DaemonSets())
}

// handle calls an observer from an informer.
func handle[T metav1.Object](observer engine.Observer[T]) toolscache.ResourceEventHandler {
	var handler toolscache.ResourceEventHandlerFuncs
	if observer.Added != nil {
		handler.AddFunc = func(object any) { observer.Added(object.(T)) }
	}
	if observer.Updated != nil {
		handler.UpdateFunc = func(former, object any) { observer.Updated(former.(T), object.(T)) }
	}
	if observer.Deleted != nil {
		handler.DeleteFunc = func(object any) { observer.Deleted(last[T](object)) }
	}
	return handler
}

// last returns the object of a delete event: its state at the deletion or, if that event was
// missed, the last observed state.
func last[T metav1.Object](object any) T {
	if missed, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = missed.Obj
	}
	return object.(T)
}

// cellSource is the source of cells; it starts the informers.
type cellSource struct{ *sources }

// Start implements source.TypedSource.
func (s cellSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[daemon.CellKey]) error {
	cells, ok := queue.(priorityqueue.PriorityQueue[daemon.CellKey])
	if !ok {
		return fmt.Errorf("the queue of cells is a %T, which has no priorities", queue)
	}
	s.cells = cells
	return nil
}

// WaitForSync implements source.TypedSyncingSource.
func (s cellSource) WaitForSync(ctx context.Context) error {
	for _, queue := range []*daemonQueue{s.status, s.history} {
		select {
		case <-queue.started:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.observe(ctx); err != nil {
		return err
	}
	s.engine.Begin()
	close(s.synced)
	return nil
}

// daemonQueue is a queue of daemons, which exists once its controller has started.
type daemonQueue struct {
	workqueue.TypedRateLimitingInterface[daemon.WorkloadKey]
	name    string
	started chan struct{}
}

func newDaemonQueue(name string) *daemonQueue {
	return &daemonQueue{name: name, started: make(chan struct{})}
}

// daemonSource is the source of daemons whose status, or history, to reconcile.
type daemonSource struct {
	*sources
	queue *daemonQueue
}

// Start implements source.TypedSource.
func (s daemonSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[daemon.WorkloadKey]) error {
	s.queue.TypedRateLimitingInterface = queue
	close(s.queue.started)
	return nil
}

// WaitForSync implements source.TypedSyncingSource.
func (s daemonSource) WaitForSync(ctx context.Context) error {
	select {
	case <-s.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (cellSource) String() string     { return "DaemonSets, nodes and pods" }
func (s daemonSource) String() string { return "DaemonSets for " + s.queue.name }
