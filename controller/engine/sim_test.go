package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/engine"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/memory"
)

// sim is an engine, an in-memory API server, and their environment, driven by a single loop. Every choice is
// drawn from one source of random numbers.
type sim struct {
	t       testing.TB
	ctx     context.Context
	random  *rand.Rand
	clock   *fixture.Clock
	api     *memory.API
	engine  *engine.Engine
	ledger  *notify.Ledger
	history strings.Builder // every request, every event and every step, as text
	faults  bool
	full    bool // a quota refuses all pods
	closing bool // the RuntimeClass excludes some nodes

	pending   map[string][]memory.Event // undelivered events of the watches, by kind
	seen      informers
	delivered map[string]*corev1.Pod // pods as last delivered

	cells    *workQueue[daemon.CellKey]
	statuses *workQueue[daemon.WorkloadKey]
	records  *workQueue[daemon.WorkloadKey]
	pages    *workQueue[notify.PageKey]

	ticks   time.Time          // of the last probe and scrub
	nodes   int                // nodes that ever joined
	deleted map[types.UID]bool // pods that the engine asked to delete when they were available
}

// informers are the caches: delivered objects, by kind and key.
type informers map[string]map[string]any

// workQueue is a work queue whose delays end when the loop advances the clock.
type workQueue[K comparable] struct {
	ready   []K
	delayed []delayedKey[K]
	limiter workqueue.TypedRateLimiter[K]
}

type delayedKey[K comparable] struct {
	key K
	at  time.Time
}

func newWorkQueue[K comparable]() *workQueue[K] { return &workQueue[K]{limiter: answers.Refused[K]()} }

func (q *workQueue[K]) add(key K) {
	if !slices.Contains(q.ready, key) {
		q.ready = append(q.ready, key)
	}
}

func (q *workQueue[K]) addAt(key K, at time.Time) {
	q.delayed = append(q.delayed, delayedKey[K]{key, at})
}

// due makes keys ready whose delay has ended.
func (q *workQueue[K]) due(now time.Time) {
	q.delayed = slices.DeleteFunc(q.delayed, func(d delayedKey[K]) bool {
		if d.at.After(now) {
			return false
		}
		q.add(d.key)
		return true
	})
}

// workOn processes one ready key.
func workOn[K comparable](s *sim, name string, q *workQueue[K], reconcile func(context.Context, K) (reconcile.Result, error)) bool {
	if len(q.ready) == 0 {
		return false
	}
	at := s.random.IntN(len(q.ready))
	key := q.ready[at]
	q.ready = slices.Delete(q.ready, at, at+1)
	s.log("%s %v", name, key)
	result, err := reconcile(s.ctx, key)
	switch {
	case err != nil:
		q.addAt(key, s.clock.Now().Add(q.limiter.When(key)))
	case result.RequeueAfter > 0:
		q.limiter.Forget(key)
		q.addAt(key, s.clock.Now().Add(result.RequeueAfter))
	default:
		q.limiter.Forget(key)
	}
	s.log("  %v, error %v", result.RequeueAfter, err)
	return true
}

func newSim(t testing.TB, seed uint64, mode placement.Mode) *sim {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, eventsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	s := &sim{
		t: t, ctx: log.IntoContext(t.Context(), logr.Discard()), random: rand.New(rand.NewPCG(seed, 1)), clock: &fixture.Clock{Time: fixture.T0}, ticks: fixture.T0,
		pending: map[string][]memory.Event{}, seen: informers{}, delivered: map[string]*corev1.Pod{}, deleted: map[types.UID]bool{},
		cells: newWorkQueue[daemon.CellKey](), statuses: newWorkQueue[daemon.WorkloadKey](), records: newWorkQueue[daemon.WorkloadKey](), pages: newWorkQueue[notify.PageKey](),
	}
	s.api = memory.New(scheme, s.clock.Now)
	s.api.Log = s.log
	s.api.Admit = s.admit
	s.api.Fault = s.fault
	s.ledger = notify.New(s.api, s.clock.Now, "host")
	s.ledger.Attach(func(page notify.PageKey, after time.Duration) { s.pages.addAt(page, s.clock.Now().Add(after)) })
	s.engine = engine.New(engine.Deps{
		Clock: s.clock, Client: s.api, Reader: reader{s.api, s}, Recorder: s.ledger, Nonce: fmt.Sprint("nonce-", seed), Log: logr.Discard(),
		Kinds: model.Kinds{Everynode: true}, Placement: mode, Workers: 4, Pods: s.seen,
		Queues: engine.Queues{
			// Enqueued keys are part of the history, even if they are already in the queue: otherwise the queue would
			// hide a dependence on the order of a map.
			Cell: func(key daemon.CellKey, priority int32) {
				s.log("enqueue cell %v at %d", key, priority)
				s.cells.add(key)
			},
			Status: func(key daemon.WorkloadKey, after time.Duration) {
				s.log("enqueue status %v after %v", key, after)
				s.statuses.addAt(key, s.clock.Now().Add(after))
				s.statuses.due(s.clock.Now())
			},
			History: func(key daemon.WorkloadKey) {
				s.log("enqueue history %v", key)
				s.records.add(key)
			},
		},
	})
	return s
}

func (s *sim) log(format string, args ...any) {
	fmt.Fprintf(&s.history, "%8.1fs ", s.clock.Now().Sub(fixture.T0).Seconds())
	fmt.Fprintf(&s.history, format, args...)
	s.history.WriteByte('\n')
}

// chance is true this many times in a hundred.
func (s *sim) chance(percent int) bool { return s.random.IntN(100) < percent }

// admit is the webhook, which is sometimes down.
func (s *sim) admit(object client.Object) error {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil
	}
	if s.faults && s.chance(10) {
		return fixture.ErrWebhookFails()
	}
	_, err := daemon.Rewrite(pod, v1alpha1.PlacedByWebhook)
	return err
}

// fault checks the invariants at each request, and loses or refuses a few.
func (s *sim) fault(verb string, object client.Object) memory.Fault {
	switch pod, ok := object.(*corev1.Pod); {
	case ok && verb == "delete":
		s.checkBudget(pod)
	case ok && verb == "create":
		s.checkCell(pod)
		s.checkEligible(pod)
	}
	if !s.faults {
		return memory.Served
	}
	if _, ok := object.(*corev1.Pod); ok && verb == "create" && s.full {
		return memory.Refused
	}
	switch n := s.random.IntN(100); {
	case n < 3:
		return memory.LostRequest
	case n < 6:
		return memory.LostAnswer
	case n < 8 && verb == "create":
		return memory.Refused
	}
	return memory.Served
}

// deliver brings one event of a kind to the engine, as an informer does.
func (s *sim) deliver(kind string) {
	event := s.pending[kind][0]
	s.pending[kind] = s.pending[kind][1:]
	s.log("event %s %s %s/%s", event.Type, kind, event.Object.GetNamespace(), event.Object.GetName())
	object, err := caches.Trim(model.Kinds{Everynode: true}, event.Object)
	if err != nil {
		s.t.Fatal(err)
	}
	key := client.ObjectKeyFromObject(event.Object).String()
	if pod, ok := event.Object.(*corev1.Pod); ok {
		if s.delivered[key] = pod; event.Type == watch.Deleted {
			delete(s.delivered, key)
		}
	}
	former := s.seen.set(kind, key, object, event.Type == watch.Deleted)
	switch object := object.(type) {
	case *caches.Set:
		observe(s.engine.DaemonSets(), event.Type, former, object)
	case *corev1.Node:
		observe(s.engine.Nodes(), event.Type, former, object)
	case *model.Pod:
		observe(s.engine.Pods(), event.Type, former, object)
	case *appsv1.ControllerRevision:
		observe(s.engine.ControllerRevisions(), event.Type, former, object)
	}
}

func observe[T any](observer engine.Observer[T], event watch.EventType, former any, object T) {
	switch {
	case event == watch.Deleted:
		observer.Deleted(object)
	case former != nil:
		observer.Updated(former.(T), object)
	default:
		observer.Added(object)
	}
}

// set stores or removes a delivered object, and returns the previous one.
func (i informers) set(kind, key string, object any, gone bool) any {
	former := i[kind][key]
	if i[kind] == nil {
		i[kind] = map[string]any{}
	}
	if gone {
		delete(i[kind], key)
	} else {
		i[kind][key] = object
	}
	return former
}

// List and GetByKey return the pods with which the scrub compares.
func (i informers) List() []any {
	var all []any
	for _, key := range slices.Sorted(maps.Keys(i["Pod"])) {
		all = append(all, i["Pod"][key])
	}
	return all
}

func (i informers) GetByKey(key string) (any, bool, error) {
	object, there := i["Pod"][key]
	return object, there, nil
}

// collect takes the events that requests caused.
func (s *sim) collect() {
	for _, event := range s.api.Events() {
		if event.Kind != "Event" {
			s.pending[event.Kind] = append(s.pending[event.Kind], event)
		}
	}
}

// kinds returns the kinds with events to deliver.
func (s *sim) kinds() (kinds []string) {
	for _, kind := range slices.Sorted(maps.Keys(s.pending)) {
		if len(s.pending[kind]) > 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// advance lets time pass.
func (s *sim) advance(d time.Duration) {
	s.clock.Advance(d)
	now := s.clock.Now()
	s.cells.due(now)
	s.statuses.due(now)
	s.records.due(now)
	s.pages.due(now)
	if now.Sub(s.ticks) >= placement.ProbeInterval {
		s.ticks = now
		s.engine.Probe(s.ctx)
		s.engine.Scrub(s.ctx)
	}
}

// engineStep executes one step of the engine or its informers.
func (s *sim) engineStep() bool {
	s.collect()
	kinds := s.kinds()
	pick := s.random.IntN(5)
	for i := range 5 {
		did := false
		switch (pick + i) % 5 {
		case 0:
			if did = len(kinds) > 0; did {
				s.deliver(kinds[s.random.IntN(len(kinds))])
			}
		case 1:
			did = workOn(s, "cell", s.cells, s.engine.ReconcileCell)
		case 2:
			did = workOn(s, "status", s.statuses, s.engine.ReconcileStatus)
		case 3:
			did = workOn(s, "history", s.records, s.engine.ReconcileHistory)
		case 4:
			did = workOn(s, "page", s.pages, s.ledger.Reconcile)
		}
		if did {
			return true
		}
	}
	return false
}

// reader is the API server as the engine reads it: a pod that it finds does not count as deleted, whatever requests were sent.
type reader struct {
	client.Reader
	sim *sim
}

func (r reader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	err := r.Reader.Get(ctx, key, object, options...)
	if pod, ok := object.(*corev1.Pod); ok && err == nil && pod.DeletionTimestamp == nil {
		delete(r.sim.deleted, pod.UID)
	}
	return err
}
