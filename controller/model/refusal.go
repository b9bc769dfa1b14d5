package model

import (
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/everynode/everynode/internal/daemon"
)

// several is how many nodes of a daemon have to be refused, and none taken meanwhile, before it is taken for
// certain that the answer is not about single nodes. One or two nodes may be special; that three are asked for,
// and each is refused, is what a policy about the daemon looks like. A wrong guess costs little: nodes that were
// not asked for yet have turns of their own, and the first pod that is taken corrects it.
const several = 3

// freshEvery is how often a daemon that was refused for several nodes asks for one that it has not asked for:
// often enough that one good node among 15,000 has its pod within 25 minutes, and most clusters' at once;
// seldom enough that the API server does not notice.
const freshEvery = 100 * time.Millisecond

// refusal is what is known of a daemon of which a pod was refused. It holds back pods that the API server
// refuses (S8). What concerns the daemon, a quota for example, it will answer to every pod: one cell at a time
// asks again, after 1 s, doubling to 15 min, and when its pod is taken the others follow at once. What may concern
// the node alone, a policy or a webhook, holds back the node's cell likewise and no other, until several nodes
// are refused. What is known of each cell is in its obstacle.
type refusal struct {
	err   error // the last answer
	cells int   // how many obstacles are of it

	whole bool // it holds back every cell of the daemon
	sure  bool // because the answer concerns the daemon, not because several nodes were refused
	asked time.Time
	until time.Time // while whole: nobody asks before
	steps int
	turn  time.Time // while whole and not sure: of the next cell that did not ask yet

	nodes int      // refused since a pod was taken
	round int      // counts the pods that were taken
	held  []string // nodes, in the order of their turns: who is let go first when a pod is taken
}

// MayAsk returns how long a cell's pod is held back and because of which answer, or no reason when it may be asked
// for now. Whoever may ask while the daemon is held back holds back the others until there is an answer.
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

// wait is how long a cell has to. A cell that did not ask yet, while several others were refused, gets a turn.
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

// refused is a node's obstacle, as part of the daemon's present refusal.
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

// letGo has a cell forget that it was refused, or held back.
func (o *obstacle) letGo() {
	o.err, o.steps, o.until, o.round, o.turn = nil, 0, time.Time{}, 0, time.Time{}
}

// Refused notes that a cell's pod was refused, for a reason that concerns the daemon or one that may concern the
// node alone. Refusals of requests that were under way together count once.
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

// Taken notes that a cell's pod was taken, and wakes the cells that may ask again. What concerned the daemon is
// over, and all may. Other answers that others got may be about their nodes: two cells may ask for each pod that
// is taken, so that all follow soon when they are taken too, and few requests are lost when they are not. They
// are those that did not ask yet; where there is none, and the pod had been refused, any.
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

// firstRefused are the first n nodes of the refusal.
func (t *tracked) firstRefused(n int) (nodes []string) {
	t.obstacles.Ascend(func(of *obstacle) bool {
		if of.refusal == t.refusal {
			nodes = append(nodes, of.node)
		}
		return len(nodes) < n
	})
	return nodes
}

// letGo has so many cells ask as if they had not been refused, or held back.
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

// NeedsNone forgets a cell that needs no pod any more. With the last one the refusal is over: nobody
// else may be there to end it, as when the daemon was deleted while the API server refused its pod.
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

// dropRefused takes a cell out of its daemon's refusal, which is over when none is left in it.
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

// endRefusal forgets that a daemon's pods were refused: what was answered may not be true any more. It may wake the
// cells, which may ask again.
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

// wakeRefused plans the cells of a refusal, or takes them out of one that is over, in the order of their nodes.
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

// TryAgainIn ends the refusals of a namespace's daemons, whose pods are asked for again.
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

// RoomIn resets the back-off of the daemons that a quota had no room for, now that it is less
// used, and wakes their cells. Still one asks at a time, and none within a second of the one before:
// what a quota counts may come and go all the time (S8).
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
		if soon.Before(refusal.until) { // else they know
			refusal.until = soon
			u.later(&wakeRefused{key: key, known: known, of: refusal, wakes: true})
		}
	}})
}

// exceeds reports whether an answer is that a quota has no room (k8s.io/apiserver
// pkg/admission/plugin/resourcequota).
func exceeds(err error, quota string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "+quota+",")
}

// eachRefused does f for the daemons of a namespace whose pods are refused, in the order of their UIDs.
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
