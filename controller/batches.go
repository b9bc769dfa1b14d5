package controller

import (
	"cmp"
	"sync"

	"github.com/google/btree"
)

// batch is how many nodes, cells or daemons are looked at while the world is locked once. How many there are is
// up to the cluster and to those who create DaemonSets; an event must not wait for all of them.
const batch = 64

// hold is the world's lock. A test looks at what was done while it was locked.
type hold struct {
	sync.Mutex
	ended func()
}

func (h *hold) Unlock() {
	if h.ended != nil {
		h.ended()
	}
	h.Mutex.Unlock()
}

// pass is something to do about every cell of a daemon, in the order of their nodes, the world unlocked between
// batches: see unlock.
type pass struct {
	key   DaemonKey
	known *workload
	count bool // first count the cells by the current template; nothing is planned meanwhile
	plan  bool // plan the cells
	due   bool // of these only those that there is something to do about
	grant bool // let the rollout go on, where it may go on at more nodes than one batch
}

// later has a pass made once the world is unlocked.
func (w *world) later(p *pass) { w.passes = append(w.passes, p) }

// unlock releases the world, and then makes the passes that became due while it was locked.
func (w *world) unlock() {
	passes := w.passes
	w.passes = nil
	w.mu.Unlock()
	for _, p := range passes {
		w.run(p)
	}
}

func (w *world) run(p *pass) {
	if p.count && !w.countAll(p) {
		return
	}
	if p.plan {
		w.eachCell(p.key, p.known, func(nodes []string) bool {
			w.planSome(p, nodes)
			return true
		})
	}
	if p.grant || p.count {
		w.grantAll(p)
	}
}

// countAll counts all cells by the current template. It is false when that was changed meanwhile: then another
// pass counts them.
func (w *world) countAll(p *pass) bool {
	w.eachCell(p.key, p.known, func(nodes []string) bool {
		if p.known.counting == p {
			p.known.cells.Recount(nodes, w.now())
		}
		return p.known.counting == p
	})
	w.mu.Lock()
	defer w.unlock()
	if p.known.counting != p {
		return false
	}
	p.known.counting = nil
	w.report(p.key)
	return true
}

// planSome has cells planned. After a start most have all they need: a queue of hundreds of thousands that need
// nothing would keep its memory.
func (w *world) planSome(p *pass, nodes []string) {
	for _, node := range nodes {
		cell := p.key.on(node)
		if p.due && p.known.keptUp() {
			plan := p.known.cells.Plan(node, w.now())
			if len(plan.Actions) == 0 && plan.WakeAt.IsZero() && len(w.claims.byCell[cell]) == 0 {
				continue
			}
		}
		w.plan(cell, p.known.priority)
	}
}

// grantAll lets a rollout go on as far as its limits allow.
func (w *world) grantAll(p *pass) {
	for more := true; more; {
		w.mu.Lock()
		more = w.daemons[p.key] == p.known && w.grantSome(p.key, p.known, batch)
		w.unlock()
	}
}

// grantSome has the cells planned whose turn in a rollout has come, and says whether there may be more.
func (w *world) grantSome(key DaemonKey, known *workload, most int) (more bool) {
	if !w.begun || !known.keptUp() {
		return false
	}
	nodes, more := known.cells.GrantSome(w.now(), most)
	for _, node := range nodes {
		w.plan(key.on(node), known.priority)
	}
	return more
}

// goOn lets a daemon's rollout go on. Changes of a batch of cells each do so: what is more than a few nodes is for
// later.
func (w *world) goOn(key DaemonKey, known *workload) {
	const few = 4
	if w.grantSome(key, known, few) {
		w.later(&pass{key: key, known: known, grant: true})
	}
}

// planAll has all cells planned.
func (w *world) planAll(key DaemonKey, known *workload) {
	w.later(&pass{key: key, known: known, plan: true})
}

// eachCell calls f, with the world locked, for the nodes of a daemon's cells, until it returns false or the daemon
// is another one. It says whether neither happened. The world must not be locked.
func (w *world) eachCell(key DaemonKey, known *workload, f func(nodes []string) bool) bool {
	for last := ""; ; {
		w.mu.Lock()
		nodes := known.cells.NodesAfter(last, batch)
		goOn := w.daemons[key] == known && f(nodes)
		w.unlock()
		if !goOn || len(nodes) < batch {
			return goOn
		}
		last = nodes[len(nodes)-1]
	}
}

// eachDaemon calls f, with the world locked, for every daemon that is there, in the order of their keys. The world
// must not be locked.
func (w *world) eachDaemon(f func(DaemonKey, *workload)) {
	for last, more := (DaemonKey{}), true; more; {
		w.mu.Lock()
		keys := w.index.daemons.after(last, batch)
		for _, key := range keys {
			f(key, w.daemons[key])
		}
		if more = len(keys) == batch; more {
			last = keys[len(keys)-1]
		}
		w.unlock()
	}
}

// eachPod calls f, with the world locked, for every pod in a daemon's cells.
func (w *world) eachPod(key DaemonKey, known *workload, f func(*seenPod)) {
	w.eachCell(key, known, func(nodes []string) bool {
		for _, node := range nodes {
			for _, uid := range known.cells.PodsOn(node) {
				if pod, there := w.pods[uid]; there {
					f(pod)
				}
			}
		}
		return true
	})
}

// keys are the keys of a map in their order.
type keys[K any] struct {
	*btree.BTreeG[K]
	compare func(a, b K) int
}

func newKeys[K any](compare func(a, b K) int) keys[K] {
	return keys[K]{btree.NewG(32, func(a, b K) bool { return compare(a, b) < 0 }), compare}
}

// after are the next keys after one, at most n of them.
func (k keys[K]) after(last K, n int) (some []K) {
	k.AscendGreaterOrEqual(last, func(key K) bool {
		if k.compare(last, key) != 0 {
			some = append(some, key)
		}
		return len(some) < n
	})
	return some
}

func compareKeys(a, b DaemonKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.UID, b.UID))
}
