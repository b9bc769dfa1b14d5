package model

import (
	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// SetProblem notes what keeps a cell's pod from being made, or with a zero problem that nothing does. While its
// names are taken the cell waits for them.
func (u Update) SetProblem(cell daemon.CellKey, problem daemon.Problem, namesTaken bool) {
	known := u.daemons[OwnerOf(cell)]
	if known == nil || known.object == nil || known.problems[cell.Node] == problem {
		return
	}
	u.awaited.await(cell)
	if problem == (daemon.Problem{}) {
		delete(known.problems, cell.Node)
		known.affected.Delete(cell.Node)
	} else {
		if known.problems == nil {
			known.problems = map[string]daemon.Problem{}
		}
		known.problems[cell.Node] = problem
		known.affected.ReplaceOrInsert(cell.Node)
	}
	if namesTaken {
		u.awaited.await(cell, u.names(known, cell.Node)...)
	}
	u.Report(OwnerOf(cell))
}

// HealthOf finds a daemon's health. The object is nil when there is no such daemon, or not any more, or when it is
// not known yet which of its pods are of its template. A problem that changes meanwhile has the daemon reported
// once more.
type HealthOf struct {
	locked
	Key DaemonKey

	Object *v1alpha1.DaemonSet
	Health daemon.Health
	last   string
}

func (h *HealthOf) Step(u Update) (more bool) {
	known := u.daemons[h.Key]
	if known == nil {
		return false
	}
	nodes := known.affected.after(h.last, Batch)
	for _, node := range nodes {
		if h.Health.Problems == nil {
			h.Health.Problems = map[string]daemon.Problem{}
		}
		h.Health.Problems[node] = known.problems[node]
		h.last = node
	}
	if len(nodes) == Batch {
		return true
	}
	if !known.keptUp() {
		h.Health = daemon.Health{}
		return false
	}
	problems := h.Health.Problems
	h.Object, h.Health = known.object, known.cells.Health()
	h.Health.Problems = problems
	return false
}
