package caches

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/metric"
)

// watchPatience is how long the watch of a kind may fail before its cache counts as stale. API servers restart,
// and connections break, all the time.
const watchPatience = time.Minute

// Caches observes how well each cache of the controller follows the API server. With a cache that was never
// filled, whose watch fails or that has stopped, the controller acts on outdated state, or not at all. /readyz
// and a metric report it. It is no reason for a restart, after which the same list would fail in the same way.
//
// Only the leading replica has caches; others are ready.
type Caches struct {
	kinds model.Kinds
	now   func() time.Time

	mu   sync.Mutex
	each []*cached
}

// cached is the cache of a kind.
type cached struct {
	kind string // as in DaemonSet.everynode.dev
	now  func() time.Time
	stop func() bool // whether it has stopped

	mu    sync.Mutex
	ready []func() bool // whether all initial objects are in it, and were handled
	since time.Time     // when it began to fail; zero while it does not
	err   error
}

// New returns Caches for the kinds that are watched with kinds.
func New(kinds model.Kinds) *Caches { return &Caches{kinds: kinds, now: time.Now} }

// Kinds returns the watched kinds of DaemonSets.
func (c *Caches) Kinds() model.Kinds { return c.kinds }

// newInformer constructs informers whose lists and watches are observed.
func (c *Caches) newInformer(lw toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	of := &cached{kind: kindOf(object), now: c.now}
	informer := toolscache.NewSharedIndexInformer(&observedListWatch{toolscache.ToListerWatcherWithContext(lw), of}, object, resync, indexers)
	of.stop, of.ready = informer.IsStopped, []func() bool{informer.HasSynced}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each = append(c.each, of)
	return informer
}

func kindOf(object runtime.Object) string {
	kinds, _, err := cacheScheme.ObjectKinds(object)
	if err != nil {
		return fmt.Sprintf("%T", object)
	}
	return kinds[0].GroupKind().String()
}

// Handled adds a handler to those that have to process all initial objects.
func (c *Caches) Handled(object runtime.Object, synced func() bool) {
	for _, of := range c.all() {
		if of.kind == kindOf(object) {
			of.handled(synced)
		}
	}
}

// Checks returns the readiness checks, by name: one for each watched kind, because an answer of /readyz
// contains only the name of a failed check.
func (c *Caches) Checks() map[string]healthz.Checker {
	checks := map[string]healthz.Checker{}
	for _, object := range append(Watched(c.kinds), &corev1.ConfigMap{}) {
		kind := kindOf(object)
		checks["cache-"+kind] = func(*http.Request) error { return c.check(kind) }
	}
	return checks
}

// check returns why the cache of a kind is stale.
func (c *Caches) check(kind string) error {
	for _, of := range c.all() {
		if why := of.stale(); of.kind == kind && why != "" {
			return errors.New(kind + " " + why)
		}
	}
	return nil
}

// all returns the caches by kind.
func (c *Caches) all() []*cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.each, func(a, b *cached) int { return strings.Compare(a.kind, b.kind) })
	return slices.Clone(c.each)
}

var cacheSynced = metric.NewGaugeDesc("everynode_cache_synced",
	"1 while the controller's cache of a kind follows the API server, 0 when it was not filled yet, its watch fails or it has stopped. A replica that does not lead has no caches.",
	metric.Label{Name: "kind", Meaning: "each kind that is watched, with its group, as DaemonSet.everynode.dev"})

// Describe and Collect implement prometheus.Collector.
func (c *Caches) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- cacheSynced }

// Collect implements prometheus.Collector.
func (c *Caches) Collect(collected chan<- prometheus.Metric) {
	for _, of := range c.all() {
		value := 1.0
		if of.stale() != "" {
			value = 0
		}
		collected <- prometheus.MustNewConstMetric(cacheSynced, prometheus.GaugeValue, value, of.kind)
	}
}

// stale returns why a cache is stale; empty if it is not.
func (c *cached) stale() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	failing := ""
	if c.err != nil {
		failing = fmt.Sprintf("could not be listed or watched since %s: %v", c.since.UTC().Format(time.RFC3339), c.err)
	}
	switch {
	case c.stop():
		return "is no longer watched"
	case slices.ContainsFunc(c.ready, func(ready func() bool) bool { return !ready() }):
		if failing != "" {
			return failing
		}
		return "is being read"
	case c.err != nil && c.now().Sub(c.since) >= watchPatience:
		return failing
	}
	return ""
}

func (c *cached) handled(synced func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, synced)
}

func (c *cached) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.since = c.now()
	}
	c.err = err
}

func (c *cached) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = nil
}

// observedListWatch records how lists and watches end.
type observedListWatch struct {
	toolscache.ListerWatcherWithContext
	of *cached
}

// List and Watch implement toolscache.ListerWatcher. Reflectors call the methods with a context.
func (w *observedListWatch) List(options metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), options)
}

// Watch implements toolscache.ListerWatcher.
func (w *observedListWatch) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), options)
}

// ListWithContext implements toolscache.ListerWatcherWithContext.
func (w *observedListWatch) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	list, err := w.ListerWatcherWithContext.ListWithContext(ctx, options)
	if err != nil {
		w.of.failed(err)
	} else {
		w.of.succeeded()
	}
	return list, err
}

// WatchWithContext implements toolscache.ListerWatcherWithContext.
func (w *observedListWatch) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	stream, err := w.ListerWatcherWithContext.WatchWithContext(ctx, options)
	if err != nil {
		w.of.failed(err)
		return nil, err
	}
	observed := &observedWatch{inner: stream, of: w.of, events: make(chan watch.Event), stopped: make(chan struct{}),
		listing: options.SendInitialEvents != nil && *options.SendInitialEvents}
	if !observed.listing { // after a list; when it is interrupted, a list is next
		w.of.succeeded()
	}
	go observed.forward()
	return observed, nil
}

// observedWatch forwards the events of a watch. Only the complete initial list shows that the watch works: any
// of its events may be the one that cannot be decoded.
type observedWatch struct {
	inner   watch.Interface
	of      *cached
	listing bool
	events  chan watch.Event
	once    sync.Once
	stopped chan struct{}
}

// ResultChan implements watch.Interface.
func (w *observedWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *observedWatch) Stop() {
	w.once.Do(func() { close(w.stopped) })
	w.inner.Stop()
}

func (w *observedWatch) forward() {
	defer close(w.events)
	for event := range w.inner.ResultChan() {
		w.note(event)
		select {
		case w.events <- event:
		case <-w.stopped:
			return
		}
	}
}

func (w *observedWatch) note(event watch.Event) {
	if event.Type == watch.Error {
		w.of.failed(apierrors.FromObject(event.Object))
		return
	}
	if !w.listing || event.Type != watch.Bookmark {
		return
	}
	object, ok := event.Object.(metav1.Object)
	if ok && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		w.listing = false
		w.of.succeeded()
	}
}
