package model

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// StartTask returns the task of a cell that is processed from now on. Its requests count at once; Answered has
// to follow.
func (u Update) StartTask(cell daemon.CellKey) Task {
	task := u.Task(cell)
	if known := u.daemons[cell.Workload()]; known != nil {
		known.cells.Sent(cell.Node, task.Actions, u.now)
		u.goOn(cell.Workload(), known)
	}
	return task
}

// Answered records how the requests of a plan ended: those that may have been executed count for the limits of
// the rollout (S4).
func (u Update) Answered(cell daemon.CellKey, made, lost bool) {
	known := u.daemons[cell.Workload()]
	if known == nil {
		return
	}
	if lost {
		known.cells.Lost(cell.Node, u.now)
	} else {
		known.cells.Answered(cell.Node, made, u.now)
	}
	u.goOn(cell.Workload(), known)
}

// Made records which pod a request created, or found created: it is awaited.
func (u Update) Made(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Made(cell.Node, pod, u.now)
	}
}

// Unmade records that the pod that a cell awaits does not exist.
func (u Update) Unmade(cell daemon.CellKey) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Unmade(cell.Node, u.now)
		u.goOn(cell.Workload(), known)
	}
}

// Kept records that a pod exists whose delete may have been executed.
func (u Update) Kept(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Kept(cell.Node, pod, u.now)
	}
}
