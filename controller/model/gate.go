package model

import "github.com/everynode/everynode/internal/daemon"

// SetStop records the emergency stop. It holds at once for every daemon; those with a rollout that is not complete are woken.
func (u Update) SetStop(stop daemon.Stop) {
	if *u.stop == stop {
		return
	}
	changed := u.stop.Closes() != stop.Closes()
	*u.stop = stop
	u.later(&eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		if !known.active() {
			return
		}
		if changed && known.hold != nil { // its cells may get other targets
			u.RecordsChanged(key)
		}
		if known.cells.Rolling() {
			u.Report(key)
			u.goOn(key, known)
		}
	}})
}

// Stop returns the emergency stop.
func (u Update) Stop() daemon.Stop { return *u.stop }

// closure returns why a daemon's rollout is closed, nil if it is not.
func (u Update) closure(*tracked) *daemon.Closure { return u.stop.Closure() }

// holding returns what the rollout holds back now.
func (t *tracked) holding() *daemon.Hold {
	if t.closed {
		return t.hold.Closed()
	}
	return t.hold
}
