package model

import (
	"time"

	"github.com/everynode/everynode/internal/daemon"
)

// An Update takes the observations of one moment into the model. What has to be done about them is added
// to wake: nothing is called back, and nothing is enqueued, while the model is locked.
type Update struct {
	*Model
	now  time.Time
	wake *Wake
}

// Update is what takes observations in, at a time. What they wake is added to wake.
func (m *Model) Update(now time.Time, wake *Wake) Update { return Update{m, now, wake} }

// Wake is what observations ask for. It is reused: an event of a pod allocates none.
type Wake struct {
	Cells     []CellWake
	Statuses  []DaemonKey // of daemons whose status may have changed
	Histories []DaemonKey // of daemons whose history may have to follow
	Work      []Work      // to do in batches, once the model is unlocked
}

// CellWake is a cell to plan.
type CellWake struct {
	Key      daemon.CellKey
	Priority int32
}

// Reset empties it for the next observation.
func (w *Wake) Reset() {
	clear(w.Work) // what is in them is large
	w.Cells, w.Statuses, w.Histories, w.Work = w.Cells[:0], w.Statuses[:0], w.Histories[:0], w.Work[:0]
}

// plan asks for a cell to be planned.
func (u Update) plan(cell daemon.CellKey, priority int32) {
	u.wake.Cells = append(u.wake.Cells, CellWake{cell, priority})
}

// Report asks for a daemon's status to be looked at. A batch of cells does so many times.
func (u Update) Report(key DaemonKey) {
	if n := len(u.wake.Statuses); n == 0 || u.wake.Statuses[n-1] != key {
		u.wake.Statuses = append(u.wake.Statuses, key)
	}
}

// enqueueHistory asks for a daemon's history to be looked at: its template may be new, or it lost a pod.
func (u Update) enqueueHistory(key DaemonKey) {
	u.wake.Histories = append(u.wake.Histories, key)
}

// later asks for work that no single hold of the lock may do.
func (u Update) later(w Work) { u.wake.Work = append(u.wake.Work, w) }
