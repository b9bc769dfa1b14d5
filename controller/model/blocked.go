package model

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// placements lets pods with equal placement share it, as package unique does for strings.
var placements daemon.Placements

// Probe is a dry run that shows whether a blocked node would still be: the pod that would be created there.
type Probe struct {
	Cell    daemon.CellKey
	Blocker types.UID // the stored pod; empty when the block was foreseen
	Pod     *corev1.Pod
	Node    *corev1.Node
}

// probeLater is the delay of a probe while the daemon cannot be planned.
const probeLater = time.Minute

// noteProbe schedules the probe of a cell if it is blocked.
func (u Update) noteProbe(cell daemon.CellKey, known *tracked) {
	if known == nil || known.cells.Blocked() == 0 && u.probes.Len() == 0 {
		return
	}
	if _, at, blocked := known.cells.Probe(cell.Node); blocked {
		u.probes.Set(cell, at)
	} else {
		u.probes.Clear(cell)
	}
}

// NextProbe returns the next probe that is due, false if there is none. It postpones blocked cells that cannot be
// probed now, at most a batch of them.
func (u Update) NextProbe() (next Probe, due bool) {
	for range Batch {
		cell, due := u.probes.Next(u.now)
		if !due {
			return Probe{}, false
		}
		known, node := u.daemons[cell.Workload()], u.nodes[cell.Node]
		if !known.keptUp() || node == nil {
			u.probes.Set(cell, u.now.Add(probeLater))
			continue
		}
		if blocker, _, blocked := known.cells.Probe(cell.Node); blocked {
			pod := daemon.NewPod(known.templateOn(cell.Node), node, u.names(known, cell)[0])
			return Probe{Cell: cell, Blocker: blocker, Pod: pod, Node: node}, true
		}
	}
	return Probe{}, false
}

// others is how many blocked nodes of a daemon are probed soon after one that is no longer blocked. If the cause is gone
// for all of them, all follow quickly; otherwise it costs few requests.
const others = 2

// Probed records the result of a probe: the node is still excluded, or the API server did not answer; otherwise the
// stored pod is replaced.
func (u Update) Probed(probe *Probe, excluded bool) {
	key := probe.Cell.Workload()
	known := u.daemons[key]
	if known == nil {
		return
	}
	known.cells.Probed(probe.Cell.Node, probe.Blocker, excluded, u.now)
	u.noteProbe(probe.Cell, known)
	if excluded {
		return
	}
	u.changed(probe.Cell)
	for _, node := range known.cells.BlockedFirst(others) {
		u.probes.Set(key.On(node), u.now)
	}
}

// Foresee records that a node would be blocked if its pod were replaced.
func (u Update) Foresee(cell daemon.CellKey, why string) {
	if known := u.daemons[cell.Workload()]; known != nil {
		known.cells.Foresee(cell.Node, why, u.now)
		u.changed(cell)
	}
}
