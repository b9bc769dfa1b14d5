package simulation

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/cells"
	"github.com/everynode/everynode/controller/engine"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// controller is a replica of everynode-controller. Its processes come and go.
type controller struct {
	cluster *Cluster
	name    string
	user    string
	starts  int
	process *process // nil while it does not run
	stopped bool     // by a signal: it does nothing, and knows nothing of it
}

// process is one process of a controller: an engine, its caches, queues and work.
type process struct {
	cluster    *Cluster
	controller *controller
	engine     *engine.Engine
	since      int64 // the revision at which its informers list
	informers  []*informer
	queues     []work
	timers     []*timer
	tasks      []*task
	turns      []*task // of these, those that wait for a turn, in order
	begun      bool
	dying      bool
	// forgot is the revision of the last pod that had been seen when a node came or went, or a DaemonSet was served. Of the pods before,
	// the engine may not know which cell they were in.
	forgot int64
}

// timer starts work at an interval, as package controller does.
type timer struct {
	name     string
	interval time.Duration
	run      func(context.Context)
	next     time.Time
	busy     bool
}

// start starts a process, whose informers list at a revision.
func (c *controller) start(since int64) {
	c.starts++
	cluster, p := c.cluster, &process{cluster: c.cluster, controller: c, since: since}
	c.process, c.stopped = p, false
	cluster.markStarted(p.identity())
	api := cluster.api.As(c.user, p.around)
	ledger := notify.New(api, cluster.clock.Now, c.name)
	cellQueue, statuses, records, pages := p.newQueues(ledger)
	p.engine = engine.New(engine.Deps{
		Kinds: cluster.kinds, Clock: cluster.clock, Client: api, Reader: api, Recorder: ledger, Log: logr.Discard(),
		Queues: engine.Queues{
			Cell:   func(key daemon.CellKey, _ int32) { cellQueue.add(key) }, // a random order has that of the priorities in it
			Status: statuses.addAfter, History: records.add,
		},
		Pods: podCache{p}, Nonce: p.identity(), Placement: placement.Auto, Workers: cellQueue.workers,
	})
	cellQueue.reconcile, statuses.reconcile, records.reconcile = p.engine.ReconcileCell, p.engine.ReconcileStatus, p.engine.ReconcileHistory
	ledger.Attach(pages.addAfter)
	p.informers = newInformers(p)
	for _, t := range []*timer{
		{name: "scrub", interval: engine.ScrubInterval, run: p.engine.Scrub},
		{name: "probe", interval: placement.ProbeInterval, run: p.engine.Probe},
		{name: "probe of blocked nodes", interval: cells.BlockedInterval, run: p.engine.ProbeBlocked},
	} {
		t.next = cluster.clock.Now().Add(t.interval)
		p.timers = append(p.timers, t)
	}
}

// newQueues returns the queues, with the limits and numbers of workers that package controller gives them, or fewer.
func (p *process) newQueues(ledger *notify.Ledger) (*queue[daemon.CellKey], *queue[daemon.WorkloadKey], *queue[daemon.WorkloadKey], *queue[notify.PageKey]) {
	cellQueue := &queue[daemon.CellKey]{name: "cell", workers: 3, limiter: answers.Refused[daemon.CellKey](), process: p}
	statuses := &queue[daemon.WorkloadKey]{name: "status", workers: 2, limiter: standardLimiter[daemon.WorkloadKey](), process: p}
	records := &queue[daemon.WorkloadKey]{name: "history", workers: 2, limiter: answers.Refused[daemon.WorkloadKey](), process: p}
	pages := &queue[notify.PageKey]{name: "events", workers: 2, limiter: standardLimiter[notify.PageKey](), process: p, reconcile: ledger.Reconcile}
	p.queues = []work{cellQueue, statuses, records, pages}
	return cellQueue, statuses, records, pages
}

// standardLimiter is controller-runtime's, without its bucket, which reads the machine's clock.
func standardLimiter[K comparable]() workqueue.TypedRateLimiter[K] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[K](5*time.Millisecond, 1000*time.Second)
}

// kill ends the process where it is.
func (c *controller) kill() {
	p := c.process
	if p == nil {
		return
	}
	c.process = nil
	for _, t := range p.tasks {
		t.stop()
	}
	c.cluster.note("controller %s is killed", c.name)
}

// moves appends what the process can do next.
func (p *process) moves(moves []func()) []func() {
	now := p.cluster.clock.Now()
	ready := true
	for _, i := range p.informers {
		if i.pending() && !i.frozen {
			moves = append(moves, i.step)
		}
		ready = ready && (i.cursor != nil || i.resource == memory.PodDisruptionBudgets || i.resource == history.ConfigMaps)
	}
	if !p.begun {
		if ready {
			moves = append(moves, p.begin)
		}
		if p.cluster.early { // only the engine's own gate holds work back
			moves = p.resumptions(p.starts(moves, p.queues[:1]))
		}
		return moves
	}
	moves = p.starts(moves, p.queues)
	for _, t := range p.timers {
		if !t.busy && !t.next.After(now) {
			moves = append(moves, func() { p.fire(t) })
		}
	}
	return p.resumptions(moves)
}

// starts appends what idle workers of queues can begin.
func (p *process) starts(moves []func(), queues []work) []func() {
	for _, q := range queues {
		if q.expire(p.cluster.clock.Now()); q.startable() {
			moves = append(moves, func() { p.run(q.start()) })
		}
	}
	return moves
}

// resumptions appends the tasks that can go on.
func (p *process) resumptions(moves []func()) []func() {
	for _, t := range p.tasks {
		if p.resumable(t) {
			moves = append(moves, func() { p.resume(t) })
		}
	}
	return moves
}

func (p *process) begin() {
	p.begun = true
	p.engine.Begin()
}

func (p *process) fire(t *timer) {
	t.busy, t.next = true, p.cluster.clock.Now().Add(t.interval)
	p.run(newTask(t.name, func(ctx context.Context) {
		t.run(ctx)
		t.busy = false
	}))
}

// run begins a task.
func (p *process) run(t *task) {
	t.knew = p.knowledge()
	p.tasks = append(p.tasks, t)
	p.resume(t)
}

// resumable reports whether a task can go on. One that waits for a turn has it when it is the first of them, and no
// other task has a turn.
func (p *process) resumable(t *task) bool {
	if t.at != waitsForTurn {
		return true
	}
	return p.turns[0] == t && !slices.ContainsFunc(p.tasks, func(other *task) bool { return other.creates })
}

// resume executes a task up to its next suspension.
func (p *process) resume(t *task) {
	remove := func(other *task) bool { return other == t }
	if t.at == waitsForTurn {
		p.turns = slices.DeleteFunc(p.turns, remove)
	}
	p.cluster.running = t
	at, more := t.resume()
	p.cluster.running = nil
	t.at = at
	switch {
	case p.dying:
		p.controller.kill()
	case !more:
		p.tasks = slices.DeleteFunc(p.tasks, remove)
	case at == waitsForTurn:
		p.turns = append(p.turns, t)
	}
}

// due returns when the process has something to do without an event; zero if never.
func (p *process) due() (next time.Time) {
	for _, q := range p.queues {
		if at := q.expire(p.cluster.clock.Now()); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// see returns what the process has seen of a resource.
func (p *process) see(resource history.Resource) *informer {
	for _, i := range p.informers {
		if i.resource == resource {
			return i
		}
	}
	return nil
}

// podCache is the cache with which the engine's scrub compares.
type podCache struct{ *process }

// List implements engine.PodStore.
func (p podCache) List() (pods []any) {
	cache := p.see(history.Pods)
	for _, key := range cache.keys() {
		pods = append(pods, cache.trimmed[key])
	}
	return pods
}

// GetByKey implements engine.PodStore.
func (p podCache) GetByKey(key string) (any, bool, error) {
	namespace, name, _ := strings.Cut(key, "/")
	pod, there := p.see(history.Pods).trimmed[client.ObjectKey{Namespace: namespace, Name: name}]
	return pod, there, nil
}
