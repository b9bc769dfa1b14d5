package model

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// awaited are the names of pods that cells wait for: somebody else has them.
type awaited struct {
	byName map[types.NamespacedName]daemon.CellKey
	byCell map[daemon.CellKey][]types.NamespacedName
}

func newAwaited() awaited {
	return awaited{byName: map[types.NamespacedName]daemon.CellKey{}, byCell: map[daemon.CellKey][]types.NamespacedName{}}
}

// await has a cell wait for names, and for none that it waited for before.
func (a *awaited) await(cell daemon.CellKey, names ...string) {
	for _, name := range a.byCell[cell] {
		delete(a.byName, name)
	}
	delete(a.byCell, cell)
	for _, name := range names {
		full := types.NamespacedName{Namespace: cell.Namespace, Name: name}
		a.byName[full] = cell
		a.byCell[cell] = append(a.byCell[cell], full)
	}
}

// by is the cell that waits for a pod's name.
func (a *awaited) by(pod *Pod) (cell daemon.CellKey, awaits bool) {
	cell, awaits = a.byName[types.NamespacedName{Namespace: pod.GetNamespace(), Name: pod.Name}]
	return cell, awaits
}
