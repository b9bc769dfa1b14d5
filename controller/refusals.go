package controller

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"

	"github.com/everynode/everynode/internal/daemon"
)

// refusals hold back the pods of a daemon that the API server refuses: what it says of one of them,
// a quota or a policy, it will say of all. So one at a time asks again, after 1 s, doubling to
// 15 min (S8), and when one is taken the others follow at once.
type refusals struct {
	now func() time.Time

	mu       sync.Mutex
	byDaemon map[DaemonKey]*refusal
	delays   workqueue.TypedRateLimiter[DaemonKey]
}

type refusal struct {
	err   error                   // the answer
	asked time.Time               // who asked last did so then
	until time.Time               // nobody asks before
	cells map[daemon.Key]struct{} // that were refused or held back
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, byDaemon: map[DaemonKey]*refusal{}, delays: refused[DaemonKey]()}
}

// mayAsk says whether a cell's pod may be asked for now, or how long it is held back and because of
// which answer. Who may ask holds back the others until there is an answer to it.
func (r *refusals) mayAsk(cell daemon.Key) (wait time.Duration, because error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := ownerOf(cell)
	known, refused := r.byDaemon[key]
	if !refused {
		return 0, nil
	}
	known.cells[cell] = struct{}{}
	if wait := known.until.Sub(r.now()); wait > 0 {
		return wait, known.err
	}
	known.asked = r.now()
	known.until = known.asked.Add(r.delays.When(key))
	return 0, nil
}

// note notes that a cell's pod was refused. Refusals of requests that were under way together
// count once.
func (r *refusals) note(cell daemon.Key, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := ownerOf(cell)
	known, refused := r.byDaemon[key]
	if !refused {
		now := r.now()
		known = &refusal{asked: now, until: now.Add(r.delays.When(key)), cells: map[daemon.Key]struct{}{}}
		r.byDaemon[key] = known
	}
	known.err = err
	known.cells[cell] = struct{}{}
}

// leave forgets a cell that needs no pod any more. Of the last one the refusal goes along: nobody
// else may be there to end it, as when the daemon was deleted while the API server refused its pod.
func (r *refusals) leave(cell daemon.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := ownerOf(cell)
	known, refused := r.byDaemon[key]
	if !refused {
		return
	}
	delete(known.cells, cell)
	if len(known.cells) == 0 {
		delete(r.byDaemon, key)
		r.delays.Forget(key)
	}
}

// over forgets that a daemon's pods were refused: one was taken, or what was said may not be true
// any more. It gives the cells that may ask again.
func (r *refusals) over(key DaemonKey) []daemon.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, refused := r.byDaemon[key]
	if !refused {
		return nil
	}
	delete(r.byDaemon, key)
	r.delays.Forget(key)
	cells := make([]daemon.Key, 0, len(known.cells))
	for cell := range known.cells {
		cells = append(cells, cell)
	}
	return cells
}

// roomIn has the back-off of the daemons begin anew that a quota had no room for, now that it is less
// used, and gives their cells. Still one asks at a time, and none within a second of the one before:
// what a quota counts may come and go all the time (S8).
func (r *refusals) roomIn(namespace, quota string) (cells []daemon.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, known := range r.byDaemon {
		if key.Namespace != namespace || !exceeds(known.err, quota) {
			continue
		}
		r.delays.Forget(key)
		soon := known.asked.Add(firstRefused)
		if now := r.now(); soon.Before(now) {
			soon = now
		}
		if soon.Before(known.until) { // else they know
			known.until = soon
			cells = slices.AppendSeq(cells, maps.Keys(known.cells))
		}
	}
	return cells
}

// exceeds says whether an answer is that a quota has no room (k8s.io/apiserver
// pkg/admission/plugin/resourcequota).
func exceeds(err error, quota string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "+quota+",")
}

// in are the daemons of a namespace whose pods are refused.
func (r *refusals) in(namespace string) []DaemonKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []DaemonKey
	for key := range r.byDaemon {
		if key.Namespace == namespace {
			keys = append(keys, key)
		}
	}
	return keys
}
