package model

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// StartTask is the task of a cell that is worked on from now on. What it asks for counts at once; answered
// has to follow.
func (u Update) StartTask(cell daemon.CellKey) Task {
	task := u.Task(cell)
	if known := u.daemons[OwnerOf(cell)]; known != nil {
		known.cells.Sent(cell.Node, task.Actions, u.now)
		u.goOn(OwnerOf(cell), known)
	}
	return task
}

// Answered notes how the requests of a plan ended: what may have been done counts as done for the limits
// of the rollout (S4).
func (u Update) Answered(cell daemon.CellKey, made, lost bool) {
	known := u.daemons[OwnerOf(cell)]
	if known == nil {
		return
	}
	if lost {
		known.cells.Lost(cell.Node, u.now)
	} else {
		known.cells.Answered(cell.Node, made, u.now)
	}
	u.goOn(OwnerOf(cell), known)
}

// Kept notes that a pod is there whose delete may have been carried out.
func (u Update) Kept(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[OwnerOf(cell)]; ok {
		known.cells.Kept(cell.Node, pod, u.now)
	}
}
