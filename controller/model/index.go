package model

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// index finds daemons without a walk over all of them, which include deleted ones and those that only exist in the
// owner reference of a pod.
type index struct {
	byName      map[types.NamespacedName]map[daemon.WorkloadKey]*tracked // existing daemons
	byNamespace map[string]map[daemon.WorkloadKey]*tracked               // the same
	daemons     keys[daemon.WorkloadKey]                                 // the same
	refused     keys[daemon.WorkloadKey]                                 // those whose pods are refused
	former      map[formerPlace]map[types.UID]string                     // names of pods
	placeOf     map[types.UID]formerPlace
	// byRuntimeClass are daemons by the RuntimeClass that one of their templates names.
	byRuntimeClass map[string]map[daemon.WorkloadKey]*tracked
}

// formerPlace is a node where a deleted daemon still has a pod.
type formerPlace struct {
	daemon types.NamespacedName
	node   string
}

func newIndex() index {
	return index{
		daemons: newKeys(compareKeys),
		refused: newKeys(compareKeys), byRuntimeClass: map[string]map[daemon.WorkloadKey]*tracked{},
		byName: map[types.NamespacedName]map[daemon.WorkloadKey]*tracked{}, byNamespace: map[string]map[daemon.WorkloadKey]*tracked{},
		former: map[formerPlace]map[types.UID]string{}, placeOf: map[types.UID]formerPlace{},
	}
}

// present adds an existing daemon.
func (x *index) present(key daemon.WorkloadKey, name string, known *tracked) {
	put(x.byName, types.NamespacedName{Namespace: key.Namespace, Name: name}, key, known)
	put(x.byNamespace, key.Namespace, key, known)
	x.daemons.ReplaceOrInsert(key)
}

// gone removes a deleted daemon.
func (x *index) gone(key daemon.WorkloadKey, name string) {
	drop(x.byName, types.NamespacedName{Namespace: key.Namespace, Name: name}, key)
	drop(x.byNamespace, key.Namespace, key)
	x.daemons.Delete(key)
	x.refused.Delete(key)
}

// judged returns those of the next n daemons after a key that nodes are judged for, and the key of the last of the n.
func (x *index) judged(after daemon.WorkloadKey, n int) (some []judged, last daemon.WorkloadKey) {
	last = after
	for _, key := range x.daemons.after(after, n) {
		last = key
		if known := x.byNamespace[key.Namespace][key]; known.rules != nil {
			some = append(some, judged{key: key, known: known})
		}
	}
	return some, last
}

// noFormer removes a pod that is gone, or whose daemon exists.
func (x *index) noFormer(pod types.UID) {
	if place, was := x.placeOf[pod]; was {
		delete(x.placeOf, pod)
		drop(x.former, place, pod)
	}
}

// inOrder returns the sorted keys of a few daemons.
func inOrder(daemons map[daemon.WorkloadKey]*tracked) []daemon.WorkloadKey {
	return slices.SortedFunc(maps.Keys(daemons), compareKeys)
}

func put[K, L comparable, V any](index map[K]map[L]V, key K, of L, value V) {
	if index[key] == nil {
		index[key] = map[L]V{}
	}
	index[key][of] = value
}

func drop[K, L comparable, V any](index map[K]map[L]V, key K, of L) {
	delete(index[key], of)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}

// noteFormer records a pod of a deleted daemon while it may run on the node: a pod that was never bound, or has
// finished, runs nothing. A new daemon of the same name waits for recorded pods, and is planned when they no longer
// count.
func (u Update) noteFormer(cell daemon.CellKey, known *tracked, pod *Pod) {
	if known.workload != nil {
		return
	}
	place := formerPlace{types.NamespacedName{Namespace: cell.Namespace, Name: known.name()}, cell.Node}
	if pod.Bound && !pod.Finished {
		u.index.noFormer(pod.UID) // its daemon may have been known by another name
		u.index.placeOf[pod.UID] = place
		put(u.index.former, place, pod.UID, pod.Name)
		return
	}
	if _, was := u.index.placeOf[pod.UID]; was {
		u.index.noFormer(pod.UID)
		u.follow(cell, known)
	}
}

// former returns the name of a pod on a node whose deleted daemon had the same name, empty if there is none: the two
// daemons must not overlap on a node (k/k#131684). Equal pod names would prevent that too, but not for pods that
// kube-controller-manager created.
func (u Update) former(cell daemon.CellKey, known *tracked) string {
	first := ""
	for _, name := range u.index.former[formerPlace{types.NamespacedName{Namespace: cell.Namespace, Name: known.name()}, cell.Node}] {
		if first == "" || name < first {
			first = name
		}
	}
	return first
}

// follow plans the node for daemons that have the name of a deleted one.
func (u Update) follow(cell daemon.CellKey, gone *tracked) {
	for _, key := range inOrder(u.index.byName[types.NamespacedName{Namespace: cell.Namespace, Name: gone.name()}]) {
		if known := u.daemons[key]; known.keptUp() {
			u.plan(key.On(cell.Node), known.priority)
		}
	}
}
