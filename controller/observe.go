package controller

import (
	"context"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// observer connects informers with the model, and the model with the three queues. It is the
// source of all three controllers, and no work begins before each has its queue and everything
// that there is was seen.
type observer struct {
	kinds    Kinds
	cache    cache.Cache
	caches   *Caches
	world    *state
	refusals *refusals
	owners   *owners
	budgets  *budgets
	cells    priorityqueue.PriorityQueue[daemon.CellKey]
	status   *daemonQueue
	history  *daemonQueue
	synced   chan struct{} // closed when everything there is was seen

	pods toolscache.Store // what the cache has of pods; there once everything was seen
}

func newObserver(kinds Kinds, informers cache.Cache) *observer {
	return &observer{
		kinds:    kinds,
		cache:    informers,
		caches:   NewCaches(kinds),
		refusals: newRefusals(time.Now),
		status:   newDaemonQueue("status"),
		history:  newDaemonQueue("history"),
		synced:   make(chan struct{}),
	}
}

// enqueuers add to the queues. All of them are there before anything is seen.
func (o *observer) enqueuers() enqueuers {
	return enqueuers{
		cell:    o.planCell,
		status:  func(key model.DaemonKey) { o.status.AddAfter(key, o.status.wait(key)) },
		history: func(key model.DaemonKey) { o.history.Add(key) },
	}
}

func (o *observer) planCell(cell daemon.CellKey, priority int32) {
	rank := int(priority)
	o.cells.AddWithOpts(priorityqueue.AddOpts{Priority: &rank}, cell)
}

// observe registers the handlers and returns once each of them has seen all there is.
func (o *observer) observe(ctx context.Context) error {
	var synced []toolscache.InformerSynced
	for _, object := range watchedBy(o.kinds) {
		informer, err := o.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(o.handler(ctx, object))
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		synced = append(synced, registration.HasSynced)
		o.caches.handled(object, registration.HasSynced)
		stored, ok := informer.(toolscache.SharedInformer)
		if _, pods := object.(*leanPod); pods && ok {
			o.pods = stored.GetStore()
		}
	}
	if err := o.observeBudgets(ctx); err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("waiting until every DaemonSet, node and pod was seen: %w", context.Cause(ctx))
	}
	return nil
}

// handler handles the events of a kind.
func (o *observer) handler(ctx context.Context, object client.Object) toolscache.ResourceEventHandler {
	switch object.(type) {
	case *schedulingv1.PriorityClass:
		return o.classHandler()
	case *corev1.Namespace:
		return o.namespaceHandler()
	case *corev1.ResourceQuota:
		return o.quotaHandler()
	case *appsv1.ControllerRevision:
		return o.revisionHandler()
	case *leanNode:
		return o.nodeHandler()
	case *leanPod:
		return o.podHandler()
	}
	return o.daemonHandler(ctx)
}

func (o *observer) daemonHandler(ctx context.Context) toolscache.ResourceEventHandler {
	seen := func(object any) {
		set := object.(*seenSet)
		if err := o.world.daemonSeen(set.DaemonSet, set.wrong); err != nil {
			log.FromContext(ctx).Info("a DaemonSet cannot be served", "daemonset", client.ObjectKeyFromObject(set), "kind", set.GVK(), "reason", err.Error())
		}
	}
	gone := func(set *seenSet) {
		o.world.daemonGone(model.KeyOf(set.DaemonSet))
		o.refusals.over(model.KeyOf(set.DaemonSet))
		o.owners.forget(model.KeyOf(set.DaemonSet))
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: seen,
		UpdateFunc: func(former, object any) {
			old := former.(*seenSet)
			if another(old, object) {
				gone(old)
			} else if old.Generation != object.(*seenSet).Generation {
				o.refusals.over(model.KeyOf(old.DaemonSet)) // all cells are planned
			}
			seen(object)
		},
		DeleteFunc: func(object any) { gone(last[*seenSet](object)) },
	}
}

// classHandler also lets pods be asked for again that were refused for want of a class.
func (o *observer) classHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			class := object.(*schedulingv1.PriorityClass)
			o.world.classSeen(class)
			o.tryAgain(o.world.ofClass(class.Name))
		},
		UpdateFunc: func(_, object any) { o.world.classSeen(object.(*schedulingv1.PriorityClass)) },
		DeleteFunc: func(object any) { o.world.classGone(last[*schedulingv1.PriorityClass](object).Name) },
	}
}

// namespaceHandler lets pods be asked for again when their namespace's labels change: they say what
// Pod Security lets in.
func (o *observer) namespaceHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(former, object any) {
			old, now := former.(*corev1.Namespace), object.(*corev1.Namespace)
			if !maps.Equal(old.Labels, now.Labels) {
				o.tryAgainIn(now.Name)
			}
		},
	}
}

// quotaHandler lets pods be asked for again when a quota is another one, gone or less used.
func (o *observer) quotaHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(former, object any) {
			old, now := former.(*corev1.ResourceQuota), object.(*corev1.ResourceQuota)
			if !equality.Semantic.DeepEqual(old.Status.Hard, now.Status.Hard) {
				o.tryAgainIn(now.Namespace)
			}
			if lessUsed(old.Status.Used, now.Status.Used) {
				o.world.wake(o.refusals.roomIn(now.Namespace, now.Name))
			}
		},
		DeleteFunc: func(object any) { o.tryAgainIn(last[*corev1.ResourceQuota](object).Namespace) },
	}
}

// lessUsed says whether there is less of anything. More of it is what our own pods make.
func lessUsed(before, now corev1.ResourceList) bool {
	for name, was := range before {
		if is := now[name]; is.Cmp(was) < 0 {
			return true
		}
	}
	return false
}

func (o *observer) tryAgainIn(namespace string) { o.tryAgain(o.refusals.in(namespace)) }

func (o *observer) tryAgain(daemons []model.DaemonKey) {
	for _, key := range daemons {
		o.world.wake(o.refusals.over(key))
	}
}

func (o *observer) nodeHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { o.world.nodeSeen(object.(*corev1.Node)) },
		UpdateFunc: func(former, object any) {
			// Nodes report every few seconds; what is left of them in the cache rarely changes.
			if old, node := former.(*corev1.Node), object.(*corev1.Node); !sameNode(old, node) {
				o.world.nodeSeen(node)
			}
		},
		DeleteFunc: func(object any) { o.world.nodeGone(last[*corev1.Node](object).Name) },
	}
}

// sameNode says whether nothing changed that a verdict could depend on.
func sameNode(a, b *corev1.Node) bool {
	return a.UID == b.UID && equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

func (o *observer) podHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { o.world.podIs(object.(*model.Pod)) },
		UpdateFunc: func(former, object any) {
			if old := former.(*model.Pod); another(old, object) {
				o.world.podLeft(old)
			}
			o.world.podIs(object.(*model.Pod))
		},
		DeleteFunc: func(object any) { o.world.podLeft(last[*model.Pod](object)) },
	}
}

func (o *observer) revisionHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { o.world.revisionSeen(object.(*appsv1.ControllerRevision)) },
		UpdateFunc: func(_, object any) { o.world.revisionSeen(object.(*appsv1.ControllerRevision)) },
		DeleteFunc: func(object any) {
			gone := last[*appsv1.ControllerRevision](object)
			o.world.revisionGone(gone.Namespace, gone.Name)
		},
	}
}

// another says whether an update is not one: after a gap in the watch, an object that was deleted
// and created again under its name comes as an update of the old one.
func another(old metav1.Object, object any) bool {
	return old.GetUID() != object.(metav1.Object).GetUID()
}

// last is the object of a delete event: as it was when it was deleted, or, when that event was
// missed, as it was last seen.
func last[T metav1.Object](object any) T {
	if missed, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = missed.Obj
	}
	return object.(T)
}

// cellSource is the observer as the source of cells; it starts the informers.
type cellSource struct{ *observer }

// Start implements source.TypedSource.
func (s cellSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[daemon.CellKey]) error {
	cells, ok := queue.(priorityqueue.PriorityQueue[daemon.CellKey])
	if !ok {
		return fmt.Errorf("the queue of cells is a %T, which knows no priorities", queue)
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
	s.world.begin()
	close(s.synced)
	return nil
}

// daemonQueue is a queue of daemons, which is there once its controller has started.
type daemonQueue struct {
	workqueue.TypedRateLimitingInterface[model.DaemonKey]
	name    string
	started chan struct{}
	wait    func(model.DaemonKey) time.Duration // how long a daemon may not be worked on; not longer than 0: it may
}

func newDaemonQueue(name string) *daemonQueue {
	return &daemonQueue{name: name, started: make(chan struct{}), wait: func(model.DaemonKey) time.Duration { return 0 }}
}

// daemonSource is the observer as the source of daemons whose status, or history, to look at.
type daemonSource struct {
	*observer
	queue *daemonQueue
}

// Start implements source.TypedSource.
func (s daemonSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[model.DaemonKey]) error {
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
