package pace

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
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

// Refusals hold back pods that the API server refuses (S8). What concerns the daemon, a quota for example, it
// will say of every pod: one cell at a time asks again, after 1 s, doubling to 15 min, and when its pod is
// Taken the others follow at once. What may concern the node alone, a policy or a webhook, holds back the
// node's cell likewise and no other, until several nodes are refused.
type Refusals struct {
	now func() time.Time

	mu       sync.Mutex
	byDaemon map[model.DaemonKey]*refusal
}

// refusal is what is known of a daemon of which a pod was refused.
type refusal struct {
	err   error // the last answer
	cells map[daemon.CellKey]*refusedCell

	whole bool // it holds back every cell of the daemon
	sure  bool // because the answer concerns the daemon, not because several nodes were refused
	asked time.Time
	until time.Time // while whole: nobody asks before
	steps int
	turn  time.Time // while whole and not sure: of the next cell that did not ask yet

	nodes int              // refused since a pod was taken
	round int              // counts the pods that were taken
	held  []daemon.CellKey // in the order of their turns: who is let go first when a pod is taken
}

// refusedCell is a cell that was refused, or held back.
type refusedCell struct {
	err   error
	steps int // 0: it was not refused
	until time.Time
	round int       // it is one of the nodes that were refused in this round
	turn  time.Time // to ask for the first time; zero: it has none
}

// NewRefusals holds nobody back.
func NewRefusals(now func() time.Time) *Refusals {
	return &Refusals{now: now, byDaemon: map[model.DaemonKey]*refusal{}}
}

// refusedAfter is the wait after so many refusals.
func refusedAfter(steps int) time.Duration {
	if steps >= 10 { // 2^10 s is more than 15 min
		return answers.RefusedBackOffMax
	}
	return min(answers.RefusedBackOff<<steps, answers.RefusedBackOffMax)
}

// MayAsk says whether a cell's pod may be asked for now, or how long it is held back and because of
// which answer. Who may ask while the daemon is held back holds back the others until there is an answer.
func (r *Refusals) MayAsk(cell daemon.CellKey) (wait time.Duration, because error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, refused := r.byDaemon[model.OwnerOf(cell)]
	if !refused {
		return 0, nil
	}
	now, of := r.now(), known.cell(cell)
	if wait := known.wait(cell, of, now); wait > 0 {
		if of.err != nil {
			return wait, of.err
		}
		return wait, known.err
	}
	if known.whole && (known.sure || of.steps > 0) {
		known.ask(now)
	}
	return 0, nil
}

// wait is how long a cell has to. A cell that did not ask yet, while several others were refused, gets a turn.
func (k *refusal) wait(key daemon.CellKey, of *refusedCell, now time.Time) time.Duration {
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
		k.held = append(k.held, key)
	}
	return of.turn.Sub(now)
}

func (k *refusal) ask(now time.Time) {
	k.asked, k.until = now, now.Add(refusedAfter(k.steps))
	k.steps++
}

func (k *refusal) cell(key daemon.CellKey) *refusedCell {
	of, known := k.cells[key]
	if !known {
		of = &refusedCell{}
		k.cells[key] = of
	}
	return of
}

// Note notes that a cell's pod was refused. Refusals of requests that were under way together count once.
func (r *Refusals) Note(cell daemon.CellKey, err error, about answers.Concern) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := model.OwnerOf(cell)
	known, refused := r.byDaemon[key]
	if !refused {
		known = &refusal{cells: map[daemon.CellKey]*refusedCell{}, round: 1}
		r.byDaemon[key] = known
	}
	known.err = err
	of, whole := known.cell(cell), known.whole
	if about == answers.Daemon {
		known.whole, known.sure = true, true
	} else {
		known.refusedNode(of, err, r.now())
	}
	if known.whole && !whole {
		known.ask(r.now())
	}
}

func (k *refusal) refusedNode(of *refusedCell, err error, now time.Time) {
	of.err, of.until = err, now.Add(refusedAfter(of.steps))
	of.steps++
	if of.round != k.round {
		of.round = k.round
		k.nodes++
	}
	k.whole, k.sure = k.whole || k.nodes >= several, false
}

// Taken notes that a cell's pod was taken, and gives the cells that may ask again. What concerned the daemon is
// over, and all may. Other answers that others got may be about their nodes: two cells may ask for each pod that
// is taken, so that all follow soon when they are taken too, and few requests are lost when they are not. They
// are those that did not ask yet; where there is none, and the pod had been refused, any.
func (r *Refusals) Taken(cell daemon.CellKey) []daemon.CellKey {
	next, over := r.takenFor(cell)
	if over != nil { // nobody else knows of it any more
		return sortedCells(over.cells)
	}
	return next
}

// takenFor also gives what was known of the daemon when that is over.
func (r *Refusals) takenFor(cell daemon.CellKey) (next []daemon.CellKey, over *refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := model.OwnerOf(cell)
	known, refused := r.byDaemon[key]
	switch {
	case !refused:
		return nil, nil
	case known.sure:
		delete(r.byDaemon, key)
		return nil, known
	}
	of := known.cells[cell]
	delete(known.cells, cell)
	known.nodes, known.whole, known.steps = 0, false, 0
	known.round++
	if len(known.cells) == 0 {
		delete(r.byDaemon, key)
		return nil, nil
	}
	if len(known.held) == 0 && of != nil && of.steps > 0 {
		known.held = known.first(model.Batch)
	}
	return known.letGo(2), nil
}

// first are the first n cells by node. They are chosen in one pass, for there may be many thousands.
func (k *refusal) first(n int) []daemon.CellKey {
	byNode := func(a, b daemon.CellKey) int { return strings.Compare(a.Node, b.Node) }
	cells := make([]daemon.CellKey, 0, n+1)
	for cell := range k.cells {
		if len(cells) == n && byNode(cell, cells[n-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(cells, cell, byNode)
		cells = slices.Insert(cells, at, cell)
		cells = cells[:min(n, len(cells))]
	}
	return cells
}

// letGo has so many cells forget that they were refused, or held back.
func (k *refusal) letGo(number int) (cells []daemon.CellKey) {
	for len(k.held) > 0 && len(cells) < number {
		cell := k.held[0]
		k.held = k.held[1:]
		if of := k.cells[cell]; of != nil {
			*of = refusedCell{}
			cells = append(cells, cell)
		}
	}
	return cells
}

// Leave forgets a cell that needs no pod any more. Of the last one the refusal goes along: nobody
// else may be there to end it, as when the daemon was deleted while the API server refused its pod.
func (r *Refusals) Leave(cell daemon.CellKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := model.OwnerOf(cell)
	known, refused := r.byDaemon[key]
	if !refused {
		return
	}
	if of := known.cells[cell]; of != nil && of.round == known.round {
		known.nodes--
	}
	delete(known.cells, cell)
	if len(known.cells) == 0 {
		delete(r.byDaemon, key)
	}
}

// Over forgets that a daemon's pods were refused: what was said may not be true any more. It gives the
// cells that may ask again.
func (r *Refusals) Over(key model.DaemonKey) []daemon.CellKey {
	r.mu.Lock()
	known, refused := r.byDaemon[key]
	delete(r.byDaemon, key)
	r.mu.Unlock()
	if !refused {
		return nil
	}
	return sortedCells(known.cells)
}

// RoomIn resets the back-off of the daemons that a quota had no room for, now that it is less
// used, and gives their cells. Still one asks at a time, and none within a second of the one before:
// what a quota counts may come and go all the time (S8).
func (r *Refusals) RoomIn(namespace, quota string) (cells []daemon.CellKey) {
	for _, key := range r.In(namespace) {
		cells = append(cells, r.roomFor(key, quota)...)
	}
	return cells
}

func (r *Refusals) roomFor(key model.DaemonKey, quota string) []daemon.CellKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.byDaemon[key]
	if known == nil || !known.sure || !answers.Exceeds(known.err, quota) {
		return nil
	}
	known.steps = 0
	soon := known.asked.Add(answers.RefusedBackOff)
	if now := r.now(); soon.Before(now) {
		soon = now
	}
	if !soon.Before(known.until) { // they know
		return nil
	}
	known.until = soon
	return sortedCells(known.cells)
}

// In are the daemons of a namespace whose pods are refused.
func (r *Refusals) In(namespace string) []model.DaemonKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []model.DaemonKey
	for key := range r.byDaemon {
		if key.Namespace == namespace {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b model.DaemonKey) int { return cmp.Compare(a.UID, b.UID) })
	return keys
}

// sortedCells are the cells of a daemon, by node: no order of a map reaches what is asked for next.
func sortedCells(cells map[daemon.CellKey]*refusedCell) []daemon.CellKey {
	return slices.SortedFunc(maps.Keys(cells), func(a, b daemon.CellKey) int { return cmp.Compare(a.Node, b.Node) })
}

// Remembers reports whether a cell was refused or held back, and has not been taken since.
func (r *Refusals) Remembers(cell daemon.CellKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.byDaemon[model.OwnerOf(cell)]
	return known != nil && known.cells[cell] != nil
}
