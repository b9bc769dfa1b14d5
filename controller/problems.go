package controller

import (
	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
)

// trouble notes what keeps a cell's pod from being made, or with a zero problem that nothing does.
func (u update) trouble(cell daemon.CellKey, problem daemon.Problem) {
	known := u.daemons[ownerOf(cell)]
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
	if problem.Reason == answers.ReasonNameTaken {
		u.awaited.await(cell, u.names(known, cell.Node)...)
	}
	u.report(ownerOf(cell))
}

// healthOf finds a daemon's health. The object is nil when there is no such daemon, or not any more, or when it is
// not known yet which of its pods are of its template. A problem that changes meanwhile has the daemon reported
// once more.
type healthOf struct {
	locked
	key DaemonKey

	object *v1alpha1.DaemonSet
	health daemon.Health
	last   string
}

func (h *healthOf) step(u update) (more bool) {
	known := u.daemons[h.key]
	if known == nil {
		return false
	}
	nodes := known.affected.after(h.last, batch)
	for _, node := range nodes {
		if h.health.Problems == nil {
			h.health.Problems = map[string]daemon.Problem{}
		}
		h.health.Problems[node] = known.problems[node]
		h.last = node
	}
	if len(nodes) == batch {
		return true
	}
	if !known.keptUp() {
		h.health = daemon.Health{}
		return false
	}
	problems := h.health.Problems
	h.object, h.health = known.object, known.cells.Health()
	h.health.Problems = problems
	return false
}
