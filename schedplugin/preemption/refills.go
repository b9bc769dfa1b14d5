package preemption

import (
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"github.com/everynode/everynode/internal/daemon"
)

// refills records for which cells room was made, and which pods took it. Its size is the number of cells that
// preemption currently works for.
type refills struct {
	clock         clock.PassiveClock
	initial, last time.Duration

	mu    sync.Mutex
	rooms map[daemon.CellKey]*room
	sweep int // the number of rooms at which old ones are removed
}

// room is what preemption freed for one cell.
type room struct {
	made    time.Time
	present sets.Set[types.UID] // the pods on the node, victims included; nil when no room is being made
	taken   int                 // how often others took it, consecutively
	by      string              // the pod that took it last
	next    time.Time           // when pods may be evicted for it again
	waits   types.NamespacedName
}

// taking describes how a room was taken. It is empty when it was not, or when the wait for that is over.
type taking struct {
	By    string        // the pod that took it
	Times int           // how often it was taken, including this time
	Wait  time.Duration // until pods may be evicted for it again
	First bool          // whether this taking was not reported before
}

func newRefills(clock clock.PassiveClock, args Args) *refills {
	return &refills{
		clock: clock, initial: args.RefillBackoffInitial.Duration, last: args.RefillBackoffMax.Duration,
		rooms: map[daemon.CellKey]*room{}, sweep: minimumSweep,
	}
}

const minimumSweep = 64

// Look reports whether the room that was made for a pod was taken by one of the pods on its node that it could
// evict again (lower). While an earlier pod is still terminating it reports nothing, because the pod may be
// waiting for that pod's room.
func (r *refills) Look(key daemon.CellKey, pod *corev1.Pod, there, lower []*corev1.Pod) taking {
	r.mu.Lock()
	defer r.mu.Unlock()
	made, now := r.rooms[key], r.clock.Now()
	if made == nil {
		return taking{}
	}
	if wait := made.next.Sub(now); wait > 0 {
		made.waits = types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
		return taking{By: made.by, Times: made.taken, Wait: wait}
	}
	by := made.takenBy(there, lower)
	if by == nil || r.old(made) {
		return taking{}
	}
	wait := r.backoff(made.taken)
	made.present, made.next = nil, now.Add(wait)
	made.taken, made.by = made.taken+1, fmt.Sprintf("%s/%s, scheduled by %s", by.Namespace, by.Name, by.Spec.SchedulerName)
	made.waits = types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	return taking{By: made.by, Times: made.taken, Wait: wait, First: true}
}

// takenBy returns a pod that did not exist when the room was made.
func (m *room) takenBy(there, lower []*corev1.Pod) *corev1.Pod {
	if m.present == nil {
		return nil
	}
	for _, pod := range there {
		if pod.DeletionTimestamp != nil && m.present.Has(pod.UID) {
			return nil
		}
	}
	for _, pod := range lower {
		if !m.present.Has(pod.UID) {
			return pod
		}
	}
	return nil
}

// Waiting returns the pod that was last seen waiting for a cell.
func (r *refills) Waiting(key daemon.CellKey) (types.NamespacedName, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	made := r.rooms[key]
	if made == nil {
		return types.NamespacedName{}, false
	}
	return made.waits, true
}

// Made records that room is being made for a cell on a node that has these pods.
func (r *refills) Made(key daemon.CellKey, pods []*corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	made := r.rooms[key]
	if made == nil {
		r.forgetOld()
		made = &room{}
		r.rooms[key] = made
	}
	made.made, made.present = r.clock.Now(), uids(pods)
}

// Bound removes the record of a cell whose pod was bound.
func (r *refills) Bound(key daemon.CellKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rooms, key)
}

// forgetOld removes old records when there are many: a pod that was deleted while it waited causes no other
// removal. The work is amortized over additions.
func (r *refills) forgetOld() {
	if len(r.rooms) < r.sweep {
		return
	}
	maps.DeleteFunc(r.rooms, func(_ daemon.CellKey, made *room) bool { return r.old(made) })
	r.sweep = max(minimumSweep, 2*len(r.rooms))
}

// old reports whether the pods on a node reveal nothing about a room any more: the pod it was made for may have
// been deleted long ago.
func (r *refills) old(made *room) bool { return r.clock.Since(made.made) > 2*r.last }

func (r *refills) backoff(taken int) time.Duration {
	wait := r.initial
	for ; taken > 0 && wait < r.last; taken-- {
		wait *= 2
	}
	return min(wait, r.last)
}

func uids(pods []*corev1.Pod) sets.Set[types.UID] {
	set := make(sets.Set[types.UID], len(pods))
	for _, pod := range pods {
		set.Insert(pod.UID)
	}
	return set
}
