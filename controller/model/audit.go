package model

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// PodsInCells collects all pods that are in a cell.
type PodsInCells struct {
	locked
	Pods []*Pod

	owner daemon.WorkloadKey // the one being collected
	cells Work               // its pods; nil before the first owner
}

func (p *PodsInCells) Step(u Update) (more bool) {
	if p.cells != nil && p.cells.Step(u) {
		return true
	}
	next := u.owners.after(p.owner, 1)
	if len(next) == 0 {
		return false
	}
	p.owner = next[0]
	p.cells = eachPod(p.owner, u.daemons[p.owner], func(_ Update, pod *Pod) { p.Pods = append(p.Pods, pod) })
	return true
}

// Knows reports whether a pod is in the right cell, in its present state.
func (u Update) Knows(pod *Pod) bool {
	_, due := u.claims.cellOf[pod.UID]
	known, had := u.pods[pod.UID]
	return due || had == pod.ours && (!had || known.State() == pod.State())
}

// Audit derives a daemon's cells again from the nodes and the pods, corrects and collects the differences.
func (u Update) Audit(key daemon.WorkloadKey, wrong *[]string) {
	known := u.daemons[key]
	if known == nil || known.workload == nil || known.rules == nil || known.judging != nil {
		return
	}
	differs := func(u Update, node, format string, args ...any) {
		*wrong = append(*wrong, fmt.Sprintf("node %s: ", node)+fmt.Sprintf(format, args...))
		u.changed(key.On(node))
	}
	u.later(&sequence{
		&judgeNodes{known: known, news: func(u Update, node *corev1.Node, verdict daemon.Verdict) {
			differs(u, node.Name, "the verdict is %s", verdict.Reason)
		}},
		&eachCell{key: key, known: known, f: func(u Update, nodes []string) bool {
			u.auditNodes(key, known, nodes, differs)
			return true
		}},
		&auditSums{known: known, wrong: wrong},
		once(func(u Update) { u.goOn(key, known) }),
	})
}

// auditSums counts a daemon's cells and compares them with the sums.
type auditSums struct {
	locked
	known *tracked
	wrong *[]string
}

func (a *auditSums) Step(u Update) (more bool) {
	some, done := a.known.cells.AuditSome(u.now, Batch)
	*a.wrong = append(*a.wrong, some...)
	return !done
}

func (u Update) auditNodes(key daemon.WorkloadKey, known *tracked, nodes []string, differs func(u Update, node, format string, args ...any)) {
	for _, name := range nodes {
		if _, there := u.nodes[name]; !there && known.cells.RemoveNode(name, u.now) {
			differs(u, name, "it is gone")
		}
		for _, uid := range known.cells.PodsOn(name) {
			if pod, there := u.pods[uid]; !there || pod.Cell() != key.On(name) {
				known.cells.RemovePod(name, uid, u.now)
				differs(u, name, "pod %s is not there", uid)
			}
		}
	}
}
