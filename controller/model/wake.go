package model

import (
	"time"

	"github.com/everynode/everynode/internal/daemon"
)

// An Update applies the observations of one moment to the model. The resulting work is added to wake: while the
// model is locked there are no callbacks, and nothing is enqueued.
type Update struct {
	*Model
	now  time.Time
	wake *Wake
}

// Update returns an Update for observations at a time, which adds to wake.
func (m *Model) Update(now time.Time, wake *Wake) Update { return Update{m, now, wake} }

// Wake is the work that results from observations. It is reused: an event of a pod allocates none.
type Wake struct {
	Cells     []CellWake
	Statuses  []daemon.WorkloadKey // of daemons whose status may have changed
	Histories []daemon.WorkloadKey // of daemons whose history may have to be updated
	Work      []Work               // to do in batches, once the model is unlocked
}

// CellWake is a cell to plan.
type CellWake struct {
	Key      daemon.CellKey
	Priority int32
}

// Reset empties it for the next observation.
func (w *Wake) Reset() {
	clear(w.Work) // its elements are large
	w.Cells, w.Statuses, w.Histories, w.Work = w.Cells[:0], w.Statuses[:0], w.Histories[:0], w.Work[:0]
}

// plan requests the planning of a cell.
func (u Update) plan(cell daemon.CellKey, priority int32) {
	u.wake.Cells = append(u.wake.Cells, CellWake{cell, priority})
}

// Report requests a check of a daemon's status. A batch of cells does so many times.
func (u Update) Report(key daemon.WorkloadKey) {
	if n := len(u.wake.Statuses); n == 0 || u.wake.Statuses[n-1] != key {
		u.wake.Statuses = append(u.wake.Statuses, key)
	}
}

// enqueueHistory requests a check of a daemon's history: its template may be new, or it lost a pod.
func (u Update) enqueueHistory(key daemon.WorkloadKey) {
	u.wake.Histories = append(u.wake.Histories, key)
}

// later adds work that needs more than one hold of the lock.
func (u Update) later(w Work) { u.wake.Work = append(u.wake.Work, w) }
