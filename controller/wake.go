package controller

import (
	"time"

	"github.com/everynode/everynode/internal/daemon"
)

// update takes the observations of one moment into the model. What has to be done about them is added
// to wake: nothing is called back, and nothing is enqueued, while the model is locked.
type update struct {
	*model
	now  time.Time
	wake *wake
}

// wake is what observations ask for. It is reused: an event of a pod allocates none.
type wake struct {
	cells     []wokenCell
	statuses  []DaemonKey // of daemons whose status may have changed
	histories []DaemonKey // of daemons whose history may have to follow
	work      []work      // to do in batches, once the model is unlocked
}

// wokenCell is a cell to plan.
type wokenCell struct {
	key      daemon.CellKey
	priority int32
}

func (w *wake) reset() {
	clear(w.work) // what is in them is large
	w.cells, w.statuses, w.histories, w.work = w.cells[:0], w.statuses[:0], w.histories[:0], w.work[:0]
}

// plan asks for a cell to be planned.
func (u update) plan(cell daemon.CellKey, priority int32) {
	u.wake.cells = append(u.wake.cells, wokenCell{cell, priority})
}

// report asks for a daemon's status to be looked at. A batch of cells does so many times.
func (u update) report(key DaemonKey) {
	if n := len(u.wake.statuses); n == 0 || u.wake.statuses[n-1] != key {
		u.wake.statuses = append(u.wake.statuses, key)
	}
}

// enqueueHistory asks for a daemon's history to be looked at: its template may be new, or it lost a pod.
func (u update) enqueueHistory(key DaemonKey) {
	u.wake.histories = append(u.wake.histories, key)
}

// later asks for work that no single hold of the lock may do.
func (u update) later(w work) { u.wake.work = append(u.wake.work, w) }
