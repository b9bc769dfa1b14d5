package model

import (
	"cmp"
	"time"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// obstacle is what prevents a cell's pod from being created, and how long the cell waits.
type obstacle struct {
	node    string
	problem daemon.Problem // the last answer, as the status shows it; zero if there is no problem
	names   []string       // names that other owners' pods have: when one of them is gone, the cell is planned

	refusal *refusal // what follows belongs to it; it is over if it is not the daemon's present one
	err     error    // the answer to this cell
	steps   int      // 0 if it was not refused
	until   time.Time
	round   int       // the round of the refusal in which the node was refused
	turn    time.Time // when the cell may ask for the first time; zero if it has no turn
}

// obstacles are those of a daemon's cells, by node. Usually there are none.
type obstacles struct{ *btree.BTreeG[*obstacle] }

func newObstacles() obstacles {
	return obstacles{btree.NewG(8, func(a, b *obstacle) bool { return a.node < b.node })}
}

// on returns the obstacle of a node, nil if there is none.
func (o obstacles) on(node string) *obstacle {
	if o.BTreeG == nil || o.Len() == 0 {
		return nil
	}
	known, _ := o.Get(&obstacle{node: node})
	return known
}

// after returns the next obstacles after a node, at most n.
func (o obstacles) after(node string, n int) (some []*obstacle) {
	if o.BTreeG == nil {
		return nil
	}
	o.AscendGreaterOrEqual(&obstacle{node: node}, func(known *obstacle) bool {
		if known.node != node {
			some = append(some, known)
		}
		return len(some) < n
	})
	return some
}

// obstacle returns the obstacle of a node, a new one if there is none.
func (t *tracked) obstacle(node string) *obstacle {
	known := t.obstacles.on(node)
	if known == nil {
		if t.obstacles.BTreeG == nil {
			t.obstacles = newObstacles()
		}
		known = &obstacle{node: node}
		t.obstacles.ReplaceOrInsert(known)
	}
	return known
}

// tidy removes an obstacle if it is empty.
func (t *tracked) tidy(of *obstacle) {
	if of.problem == (daemon.Problem{}) && len(of.names) == 0 && of.refusal == nil {
		t.obstacles.Delete(of)
	}
}

// SetProblem records what prevents a cell's pod from being created; a zero problem clears it. If its names are taken, the
// cell waits for them.
func (u Update) SetProblem(cell daemon.CellKey, problem daemon.Problem, namesTaken bool) {
	known := u.daemons[cell.Workload()]
	if known == nil || known.workload == nil {
		return
	}
	of := known.obstacles.on(cell.Node)
	if of == nil && problem == (daemon.Problem{}) || of != nil && of.problem == problem {
		return
	}
	if of == nil {
		of = known.obstacle(cell.Node)
	}
	u.awaitNone(cell, of)
	of.problem = problem
	if namesTaken {
		of.names = u.names(known, cell)
		for _, name := range of.names {
			u.awaited[types.NamespacedName{Namespace: cell.Namespace, Name: name}] = cell
		}
	}
	known.tidy(of)
	u.Report(cell.Workload())
}

// awaitNone ends a cell's wait for names.
func (u Update) awaitNone(cell daemon.CellKey, of *obstacle) {
	for _, name := range of.names {
		delete(u.awaited, types.NamespacedName{Namespace: cell.Namespace, Name: name})
	}
	of.names = nil
}

// nameIsFree plans the cell that waits for the name of a pod that is gone.
func (u Update) nameIsFree(pod *Pod) {
	if len(u.awaited) == 0 {
		return
	}
	if cell, awaits := u.awaited[types.NamespacedName{Namespace: pod.GetNamespace(), Name: pod.Name}]; awaits {
		u.changed(cell)
	}
}

// forgetObstacles ends the waits of a deleted daemon's cells.
type forgetObstacles struct {
	locked
	key  daemon.WorkloadKey
	of   obstacles
	last string
}

func (f *forgetObstacles) Step(u Update) (more bool) {
	some := f.of.after(f.last, Batch)
	for _, of := range some {
		u.awaitNone(f.key.On(of.node), of)
		f.last = of.node
	}
	return len(some) == Batch
}

// HealthOf collects a daemon's health. Workload is nil if there is no such daemon, or if it is not known yet which of its
// pods have its template. A problem that changes in the meantime reports the daemon again.
type HealthOf struct {
	locked
	Key daemon.WorkloadKey

	Workload *daemon.Workload
	Health   daemon.Health
	last     string
}

// Step implements Work.
func (h *HealthOf) Step(u Update) (more bool) {
	known := u.daemons[h.Key]
	if known == nil {
		return false
	}
	some := known.obstacles.after(h.last, Batch)
	for _, of := range some {
		if h.last = of.node; of.problem == (daemon.Problem{}) {
			continue
		}
		if h.Health.Problems == nil {
			h.Health.Problems = map[string]daemon.Problem{}
		}
		h.Health.Problems[of.node] = of.problem
	}
	if len(some) == Batch {
		return true
	}
	if !known.keptUp() && (known.notRecorded == nil || !known.counted()) {
		h.Health = daemon.Health{}
		return false
	}
	problems := h.Health.Problems
	h.Workload, h.Health = known.workload, known.cells.Health()
	h.Health.Problems, h.Health.Now, h.Health.ReportsWaiting = problems, u.now, known.workload.Kind.ReportsWaiting()
	h.Health.NotRecorded, h.Health.Closed = known.notRecorded, u.closure(known)
	if known.hold != nil {
		h.Health.Rollout = &daemon.RolloutHealth{Stable: known.stable, Update: cmp.Or(known.revision, known.id.Revision), Hold: known.hold, Wave: known.waveHealth()}
	}
	return false
}
