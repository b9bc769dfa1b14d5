package controller

import (
	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
)

// trouble notes what keeps a cell's pod from being made, or with a zero problem that nothing does.
func (w *world) trouble(cell daemon.CellKey, problem daemon.Problem) {
	w.mu.Lock()
	defer w.unlock()
	known := w.daemons[ownerOf(cell)]
	if known == nil || known.object == nil || known.problems[cell.Node] == problem {
		return
	}
	w.awaited.await(cell)
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
		w.awaited.await(cell, w.names(known, cell.Node)...)
	}
	w.report(ownerOf(cell))
}

// health is a daemon's; the object is nil when there is no such daemon, or not any more, or when it
// is not known yet which of its pods are of its template.
func (w *world) health(key DaemonKey) (*v1alpha1.DaemonSet, daemon.Health) {
	problems := w.problemsOf(key)
	w.mu.Lock()
	defer w.unlock()
	known := w.daemons[key]
	if !known.keptUp() {
		return nil, daemon.Health{}
	}
	health := known.cells.Health()
	health.Problems = problems
	return known.object, health
}

// problemsOf are a daemon's problems. One that changes meanwhile has it reported once more.
func (w *world) problemsOf(key DaemonKey) map[string]daemon.Problem {
	var problems map[string]daemon.Problem
	for last, more := "", true; more; {
		w.mu.Lock()
		known := w.daemons[key]
		if more = known != nil; more {
			nodes := known.affected.after(last, batch)
			for _, node := range nodes {
				if problems == nil {
					problems = map[string]daemon.Problem{}
				}
				problems[node] = known.problems[node]
				last = node
			}
			more = len(nodes) == batch
		}
		w.unlock()
	}
	return problems
}
