package model

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// index finds what would otherwise take a walk over all daemons, those included that are gone and those
// that a pod's owner reference makes up.
type index struct {
	byName      map[types.NamespacedName]map[daemon.WorkloadKey]*tracked // daemons that are there
	byNamespace map[string]map[daemon.WorkloadKey]*tracked               // the same
	daemons     keys[daemon.WorkloadKey]                                 // the same
	refused     keys[daemon.WorkloadKey]                                 // of these those whose pods are refused
	former      map[formerPlace]map[types.UID]string                     // names of pods
	placeOf     map[types.UID]formerPlace
	// byRuntimeClass are daemons by the RuntimeClass that their template names.
	byRuntimeClass map[string]map[daemon.WorkloadKey]*tracked
}

// formerPlace is where a daemon that is gone has a pod.
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

// present notes a daemon that is there.
func (x *index) present(key daemon.WorkloadKey, name string, known *tracked) {
	put(x.byName, types.NamespacedName{Namespace: key.Namespace, Name: name}, key, known)
	put(x.byNamespace, key.Namespace, key, known)
	x.daemons.ReplaceOrInsert(key)
}

// gone notes that it is not any more.
func (x *index) gone(key daemon.WorkloadKey, name string) {
	drop(x.byName, types.NamespacedName{Namespace: key.Namespace, Name: name}, key)
	drop(x.byNamespace, key.Namespace, key)
	x.daemons.Delete(key)
	x.refused.Delete(key)
}

// judged looks at the next n daemons after one, and gives those that nodes are judged for, and the last one that it
// looked at.
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

// noFormer notes that a pod is not that of a daemon that is gone, or is gone itself.
func (x *index) noFormer(pod types.UID) {
	if place, was := x.placeOf[pod]; was {
		delete(x.placeOf, pod)
		drop(x.former, place, pod)
	}
}

// inOrder are the keys of a few daemons, sorted.
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

// noteFormer notes where a daemon that is gone still has a pod. It counts only while it may run there: a
// pod that was never bound runs nowhere, whoever made it and whatever keeps it, and one that has finished
// runs nothing any more. A daemon that follows waits for those that count, and is planned when they no
// longer do.
func (u Update) noteFormer(cell daemon.CellKey, known *tracked, pod *Pod) {
	if known.workload != nil {
		return
	}
	place := formerPlace{types.NamespacedName{Namespace: cell.Namespace, Name: known.name()}, cell.Node}
	if pod.Bound && !pod.Finished {
		u.index.noFormer(pod.UID) // its daemon may have had another name
		u.index.placeOf[pod.UID] = place
		put(u.index.former, place, pod.UID, pod.Name)
		return
	}
	if _, was := u.index.placeOf[pod.UID]; was {
		u.index.noFormer(pod.UID)
		u.follow(cell, known)
	}
}

// former names a pod of a daemon that is gone and had the same name, when one is on a node. Two
// generations of a daemon never overlap there (k/k#131684). Names of pods tell too, but for those
// that kube-controller-manager made.
func (u Update) former(cell daemon.CellKey, known *tracked) string {
	first := ""
	for _, name := range u.index.former[formerPlace{types.NamespacedName{Namespace: cell.Namespace, Name: known.name()}, cell.Node}] {
		if first == "" || name < first {
			first = name
		}
	}
	return first
}

// follow has the node planned for the daemon that follows one that is gone.
func (u Update) follow(cell daemon.CellKey, gone *tracked) {
	for _, key := range inOrder(u.index.byName[types.NamespacedName{Namespace: cell.Namespace, Name: gone.name()}]) {
		if known := u.daemons[key]; known.keptUp() {
			u.plan(key.On(cell.Node), known.priority)
		}
	}
}
