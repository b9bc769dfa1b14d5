package model

import (
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/everynode/everynode/internal/daemon"
)

// several is how many nodes of a daemon have to be refused, and none accepted in between, before the answer is attributed
// to the daemon. One or two nodes may be special; three consecutive refusals suggest a policy about the daemon. A wrong
// guess costs little: nodes that were not tried yet have turns of their own, and the first accepted pod corrects it.
const several = 3

// freshEvery is the interval at which a daemon that was refused for several nodes tries nodes that were not tried yet:
// short enough that one healthy node among 15,000 gets its pod within 25 minutes, and long enough to be no load on the
// API server.
const freshEvery = 100 * time.Millisecond

// refusal is the state of a daemon while the API server refuses its pods. It bounds the requests (S8). An answer that
// concerns the daemon, about a quota for example, applies to every pod: one cell at a time retries, after 1 s, doubling to
// 15 min, and when its pod is accepted the others follow at once. An answer that may concern the node alone, of a policy
// or a webhook, holds back only the node's cell in the same way, until several nodes are refused. The state of each cell
// is in its obstacle.
type refusal struct {
	err   error // the last answer
	cells int   // how many obstacles belong to it

	whole bool // it holds back every cell of the daemon
	sure  bool // the answer concerns the daemon; false if several nodes were refused
	asked time.Time
	until time.Time // while whole: no cell asks before
	steps int
	turn  time.Time // while whole and not sure: the turn of the next cell that has not asked yet

	nodes int      // refused since a pod was accepted
	round int      // counts the accepted pods
	held  []string // nodes, in the order of their turns, in which they are released when a pod is accepted
}

// MayAsk returns how long a cell's pod is held back and because of which answer; without an answer the pod may be
// requested now. While the daemon is held back, the cell that may ask holds back the others until it gets an answer.
func (u Update) MayAsk(cell daemon.CellKey) (wait time.Duration, because error) {
	known := u.daemons[cell.Workload()]
	if known == nil || known.refusal == nil {
		return 0, nil
	}
	refusal, of := known.refusal, known.refused(cell.Node)
	if wait := refusal.wait(of, u.now); wait > 0 {
		if of.err != nil {
			return wait, of.err
		}
		return wait, refusal.err
	}
	if refusal.whole && (refusal.sure || of.steps > 0) {
		refusal.ask(u.now)
	}
	return 0, nil
}

// wait returns how long a cell waits. A cell that has not asked yet gets a turn if several others were refused.
func (k *refusal) wait(of *obstacle, now time.Time) time.Duration {
	switch {
	case k.sure:
		return k.until.Sub(now)
	case !k.whole:
		return of.until.Sub(now)
	case of.steps > 0:
		return max(of.until.Sub(now), k.until.Sub(now))
	case of.turn.IsZero():
		of.turn = k.turn
		if of.turn.Before(now) {
			of.turn = now
		}
		k.turn = of.turn.Add(freshEvery)
		k.held = append(k.held, of.node)
	}
	return of.turn.Sub(now)
}

func (k *refusal) ask(now time.Time) {
	k.asked, k.until = now, now.Add(daemon.RetryAfter(k.steps))
	k.steps++
}

// refused returns a node's obstacle, as part of the daemon's present refusal.
func (t *tracked) refused(node string) *obstacle {
	of := t.obstacle(node)
	if of.refusal != t.refusal {
		of.forgetRefusal()
		of.refusal = t.refusal
		t.refusal.cells++
	}
	return of
}

func (o *obstacle) forgetRefusal() {
	o.refusal = nil
	o.letGo()
}

// letGo resets the cell's part in the refusal: it may ask again.
func (o *obstacle) letGo() {
	o.err, o.steps, o.until, o.round, o.turn = nil, 0, time.Time{}, 0, time.Time{}
}

// Refused records that a cell's pod was refused, for a reason that concerns the daemon or one that may concern the node
// alone. Refusals of concurrent requests count once.
func (u Update) Refused(cell daemon.CellKey, err error, ofDaemon bool) {
	known := u.daemons[cell.Workload()]
	if known == nil || known.workload == nil {
		return
	}
	if known.refusal == nil {
		known.refusal = &refusal{round: 1}
		u.index.refused.ReplaceOrInsert(cell.Workload())
	}
	refusal := known.refusal
	refusal.err = err
	of, whole := known.refused(cell.Node), refusal.whole
	if ofDaemon {
		refusal.whole, refusal.sure = true, true
	} else {
		refusal.refusedNode(of, err, u.now)
	}
	if refusal.whole && !whole {
		refusal.ask(u.now)
	}
}

func (k *refusal) refusedNode(of *obstacle, err error, now time.Time) {
	of.err, of.until = err, now.Add(daemon.RetryAfter(of.steps))
	of.steps++
	if of.round != k.round {
		of.round = k.round
		k.nodes++
	}
	k.whole, k.sure = k.whole || k.nodes >= several, false
}

// Taken records that a cell's pod was accepted, and wakes cells that may ask again. If the refusal concerned the daemon, it
// is over, and all cells may. Otherwise the answers to other cells may be about their nodes: for each accepted pod two
// cells may ask, so that all follow soon if they are accepted too, and few requests are wasted if not. Cells that have
// not asked yet come first; if there are none and this pod had been refused, any cell.
func (u Update) Taken(cell daemon.CellKey) {
	key := cell.Workload()
	known := u.daemons[key]
	if known == nil || known.refusal == nil {
		return
	}
	if known.refusal.sure {
		u.endRefusal(key, known, true)
		return
	}
	refusal, of := known.refusal, known.obstacles.on(cell.Node)
	had := of != nil && of.refusal == refusal && of.steps > 0
	u.dropRefused(key, known, of)
	refusal.nodes, refusal.whole, refusal.steps = 0, false, 0
	refusal.round++
	if known.refusal == nil {
		return
	}
	if len(refusal.held) == 0 && had {
		refusal.held = known.firstRefused(Batch)
	}
	for _, node := range known.letGo(2) {
		u.planHeldBack(key.On(node))
	}
}

// firstRefused returns the first n nodes of the refusal.
func (t *tracked) firstRefused(n int) (nodes []string) {
	t.obstacles.Ascend(func(of *obstacle) bool {
		if of.refusal == t.refusal {
			nodes = append(nodes, of.node)
		}
		return len(nodes) < n
	})
	return nodes
}

// letGo lets a number of cells ask as if they had not been refused or held back.
func (t *tracked) letGo(number int) (nodes []string) {
	refusal := t.refusal
	for len(refusal.held) > 0 && len(nodes) < number {
		node := refusal.held[0]
		refusal.held = refusal.held[1:]
		if of := t.obstacles.on(node); of != nil && of.refusal == refusal {
			of.letGo()
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// NeedsNone removes a cell that needs no pod any more from the refusal. The last one ends it: no other cell may be left to
// do so, for example if the daemon was deleted while its pods were refused.
func (u Update) NeedsNone(cell daemon.CellKey) {
	key := cell.Workload()
	known := u.daemons[key]
	if known == nil || known.refusal == nil {
		return
	}
	of := known.obstacles.on(cell.Node)
	if of != nil && of.refusal == known.refusal && of.round == known.refusal.round {
		known.refusal.nodes--
	}
	u.dropRefused(key, known, of)
}

// dropRefused removes a cell from its daemon's refusal, which is over when it was the last one.
func (u Update) dropRefused(key daemon.WorkloadKey, known *tracked, of *obstacle) {
	if of != nil && of.refusal == known.refusal {
		known.refusal.cells--
		of.forgetRefusal()
		known.tidy(of)
	}
	if known.refusal.cells == 0 {
		u.endRefusal(key, known, false)
	}
}

// endRefusal ends the refusal of a daemon: the answer may not apply any more. If wakes is true, it plans the cells that
// were held back.
func (u Update) endRefusal(key daemon.WorkloadKey, known *tracked, wakes bool) {
	over := known.refusal
	if over == nil {
		return
	}
	known.refusal = nil
	u.index.refused.Delete(key)
	if over.cells > 0 {
		u.later(&wakeRefused{key: key, known: known, of: over, ends: true, wakes: wakes})
	}
}

// wakeRefused plans the cells of a refusal, or removes them from one that is over, in the order of their nodes.
type wakeRefused struct {
	locked
	key         daemon.WorkloadKey
	known       *tracked
	of          *refusal
	ends, wakes bool
	last        string
}

func (w *wakeRefused) Step(u Update) (more bool) {
	if u.daemons[w.key] != w.known {
		return false
	}
	some := w.known.obstacles.after(w.last, Batch)
	for _, of := range some {
		if w.last = of.node; of.refusal != w.of {
			continue
		}
		if w.ends {
			of.forgetRefusal()
			w.known.tidy(of)
		}
		if w.wakes {
			u.planHeldBack(w.key.On(of.node))
		}
	}
	return len(some) == Batch
}

// planHeldBack plans a cell that was held back.
func (u Update) planHeldBack(cell daemon.CellKey) {
	if known := u.daemons[cell.Workload()]; known.keptUp() {
		u.plan(cell, known.priority)
	}
}

// TryAgainIn ends the refusals of a namespace's daemons and retries their pods.
func (u Update) TryAgainIn(namespace string) {
	u.later(&eachRefused{namespace: namespace, f: func(u Update, key daemon.WorkloadKey, known *tracked) { u.endRefusal(key, known, true) }})
}

// TryAgainOfClass ends the refusals of the daemons whose pods name a priority class.
func (u Update) TryAgainOfClass(name string) {
	u.later(&eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		if known.workload.Template.Spec.PriorityClassName == name {
			u.endRefusal(key, known, true)
		}
	}})
}

// RoomIn resets the back-off of the daemons that a quota had no room for, after its usage fell, and wakes their cells.
// They still ask one at a time, at most once a second, because usage may go up and down all the time (S8).
func (u Update) RoomIn(namespace, quota string) {
	u.later(&eachRefused{namespace: namespace, f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		refusal := known.refusal
		if !refusal.sure || !exceeds(refusal.err, quota) {
			return
		}
		refusal.steps = 0
		soon := refusal.asked.Add(daemon.RetryAfter(0))
		if soon.Before(u.now) {
			soon = u.now
		}
		if soon.Before(refusal.until) { // otherwise they retry soon anyway
			refusal.until = soon
			u.later(&wakeRefused{key: key, known: known, of: refusal, wakes: true})
		}
	}})
}

// exceeds reports whether an answer is about a quota without room (k8s.io/apiserver
// pkg/admission/plugin/resourcequota).
func exceeds(err error, quota string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "+quota+",")
}

// eachRefused calls f for the daemons of a namespace whose pods are refused, in the order of their UIDs.
type eachRefused struct {
	locked
	namespace string
	f         func(u Update, key daemon.WorkloadKey, known *tracked)
	last      daemon.WorkloadKey
}

func (e *eachRefused) Step(u Update) (more bool) {
	if e.last == (daemon.WorkloadKey{}) {
		e.last.Namespace = e.namespace
	}
	keys := u.index.refused.after(e.last, Batch)
	for _, key := range keys {
		if key.Namespace != e.namespace {
			return false
		}
		e.f(u, key, u.daemons[key])
		e.last = key
	}
	return len(keys) == Batch
}
