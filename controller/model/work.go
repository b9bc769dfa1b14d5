package model

import (
	"cmp"

	"github.com/google/btree"

	"github.com/everynode/everynode/internal/daemon"
)

// Batch is how many nodes, cells or daemons are processed in one hold of the lock. Their number is not bounded, and an
// event must not wait for all of them.
const Batch = 64

// Work is too long for one hold of the lock: it concerns many cells, nodes or daemons, or the author of an object decides
// how long it takes.
type Work interface {
	// Step does at most one batch, with the model locked, and reports whether there is more to do.
	Step(Update) (more bool)
	// Compute prepares the next step. The model is not locked, and must not be read or changed.
	Compute()
}

// locked is work that computes nothing between its steps.
type locked struct{}

func (locked) Compute() {}

// once is work of one step.
type once func(Update)

func (o once) Step(u Update) bool {
	o(u)
	return false
}

func (once) Compute() {}

// sequence does one work after the other.
type sequence []Work

func (s *sequence) Step(u Update) bool {
	if !(*s)[0].Step(u) {
		*s = (*s)[1:]
	}
	return len(*s) > 0
}

func (s *sequence) Compute() { (*s)[0].Compute() }

// eachCell calls f for the nodes of a daemon's cells, in order, until it returns false or the daemon was removed.
type eachCell struct {
	locked
	key   daemon.WorkloadKey
	known *tracked
	f     func(u Update, nodes []string) bool
	last  string
}

func (e *eachCell) Step(u Update) bool {
	nodes := e.known.cells.NodesAfter(e.last, Batch)
	if u.daemons[e.key] != e.known || !e.f(u, nodes) || len(nodes) < Batch {
		return false
	}
	e.last = nodes[len(nodes)-1]
	return true
}

// eachDaemon calls f for every existing daemon, in the order of their keys.
type eachDaemon struct {
	locked
	f    func(u Update, key daemon.WorkloadKey, known *tracked)
	last daemon.WorkloadKey
}

func (e *eachDaemon) Step(u Update) bool {
	keys := u.index.daemons.after(e.last, Batch)
	for _, key := range keys {
		e.f(u, key, u.daemons[key])
		e.last = key
	}
	return len(keys) == Batch
}

// eachPod calls f for every pod in a daemon's cells.
func eachPod(key daemon.WorkloadKey, known *tracked, f func(Update, *Pod)) Work {
	return &eachCell{key: key, known: known, f: func(u Update, nodes []string) bool {
		for _, node := range nodes {
			for _, uid := range known.cells.PodsOn(node) {
				if pod, there := u.pods[uid]; there {
					f(u, pod)
				}
			}
		}
		return true
	}}
}

// WakeCells plans cells that were held back.
type WakeCells struct {
	locked
	Cells []daemon.CellKey
}

func (w *WakeCells) Step(u Update) bool {
	some := w.Cells[:min(Batch, len(w.Cells))]
	w.Cells = w.Cells[len(some):]
	for _, cell := range some {
		u.planHeldBack(cell)
	}
	return len(w.Cells) > 0
}

// pass processes every cell of a daemon, in the order of their nodes.
type pass struct {
	locked
	key   daemon.WorkloadKey
	known *tracked
	count bool // first count the cells by the current template; nothing is planned in the meantime
	plan  bool // plan the cells
	due   bool // only those that are due
	grant bool // continue the rollout, which may permit more nodes than one batch
	last  string
}

func (p *pass) Step(u Update) bool {
	if u.daemons[p.key] != p.known {
		return false
	}
	switch {
	case p.count:
		return p.countSome(u)
	case p.plan:
		nodes := p.next()
		p.planSome(u, nodes)
		if p.plan = len(nodes) == Batch; !p.plan {
			u.later(&planClaims{key: p.key, last: p.key.On("")})
		}
	default:
		return p.grant && u.grantSome(p.key, p.known, Batch)
	}
	return p.plan || p.grant
}

// next returns the next nodes of the daemon's cells.
func (p *pass) next() []string {
	nodes := p.known.cells.NodesAfter(p.last, Batch)
	if len(nodes) > 0 {
		p.last = nodes[len(nodes)-1]
	}
	return nodes
}

// countSome counts cells by the current template. It ends the pass if the template has changed: another pass counts them
// then.
func (p *pass) countSome(u Update) (more bool) {
	if p.known.counting != p {
		return false
	}
	nodes := p.next()
	p.known.cells.Recount(nodes, u.now)
	for _, node := range nodes { // a pod of another target may be stale now
		u.judgePlacement(p.key.On(node), p.known)
	}
	if len(nodes) == Batch {
		return true
	}
	p.known.counting = nil
	u.dropUnused(p.key, p.known)
	u.readHeldBack(p.key, p.known)
	p.count, p.grant, p.last = false, true, ""
	u.Report(p.key)
	return true
}

// planSome plans cells. After a start most need nothing, and a queue that once held hundreds of thousands would keep its
// memory.
func (p *pass) planSome(u Update, nodes []string) {
	for _, node := range nodes {
		cell := p.key.On(node)
		u.noteProbe(cell, p.known)
		if !p.due || u.due(cell, p.known) {
			u.plan(cell, p.known.priority)
		}
	}
}

// grantSome plans the cells that the rollout permits now, and reports whether there may be more.
func (u Update) grantSome(key daemon.WorkloadKey, known *tracked, most int) (more bool) {
	if u.begun && known.keptUp() {
		var nodes []string
		nodes, more = known.cells.GrantSome(u.now, most)
		for _, node := range nodes {
			u.plan(key.On(node), known.priority)
		}
		u.rollOut(key, known)
	}
	u.reportCounters(key, known)
	return more
}

// reportCounters requests a check of a daemon's status if its counters have changed since the last one. A pod becomes available by
// waiting, and whatever counts its cell first may not concern it: another request, the rollout, an audit.
func (u Update) reportCounters(key daemon.WorkloadKey, known *tracked) {
	if known == nil {
		return
	}
	if now := known.cells.Counters(); now != known.reported {
		known.reported = now
		u.Report(key)
	}
}

// goOn continues a daemon's rollout. Every change of a cell calls it, so more than a few nodes are left to later work.
func (u Update) goOn(key daemon.WorkloadKey, known *tracked) {
	const few = 4
	if u.grantSome(key, known, few) {
		u.later(&pass{key: key, known: known, grant: true})
	}
}

// planAll plans all cells.
func (u Update) planAll(key daemon.WorkloadKey, known *tracked) {
	u.later(&pass{key: key, known: known, plan: true})
}

// keys are the sorted keys of a map.
type keys[K any] struct {
	*btree.BTreeG[K]
	compare func(a, b K) int
}

func newKeys[K any](compare func(a, b K) int) keys[K] {
	return keys[K]{btree.NewG(32, func(a, b K) bool { return compare(a, b) < 0 }), compare}
}

// after returns the next keys after one, at most n.
func (k keys[K]) after(last K, n int) (some []K) {
	k.AscendGreaterOrEqual(last, func(key K) bool {
		if k.compare(last, key) != 0 {
			some = append(some, key)
		}
		return len(some) < n
	})
	return some
}

func compareKeys(a, b daemon.WorkloadKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.UID, b.UID))
}

func compareCells(a, b daemon.CellKey) int {
	return cmp.Or(compareKeys(a.Workload(), b.Workload()), cmp.Compare(a.Node, b.Node))
}

// endStart drops what was only kept until everything was observed.
type endStart struct {
	locked
	last daemon.WorkloadKey
}

func (e *endStart) Step(u Update) (more bool) {
	keys := u.owners.after(e.last, Batch)
	for _, key := range keys {
		u.daemons[key].cells.Started()
		u.forgetEmpty(key)
		e.last = key
	}
	return len(keys) == Batch
}
