package model

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// rollOut admits the nodes that the rollout may admit now, and has a revision recorded that has become stable. Every change of a
// cell calls it.
func (u Update) rollOut(key daemon.WorkloadKey, known *tracked) {
	if known.hold == nil {
		return
	}
	if !known.admitting && len(known.cells.Admissible(1)) > 0 {
		known.admitting = true
		u.later(&admit{key: key, known: known})
	}
	u.holdWave(key, known)
	proven := known.cells.Proven()
	if proven && !known.proven {
		u.enqueueHistory(key)
	}
	known.proven = proven
}

// admit admits nodes to the update revision, each with the verdict by that revision's template, which is computed while the model
// is not locked.
type admit struct {
	key   daemon.WorkloadKey
	known *tracked

	nodes    []*corev1.Node
	rules    *daemon.Rules
	verdicts []daemon.Verdict // of nodes
}

func (a *admit) Step(u Update) (more bool) {
	known := a.known
	if u.daemons[a.key] != known || !known.keptUp() {
		known.admitting = false // a pass over all cells ends with another one
		return false
	}
	admitted := a.admitSome(u)
	if len(a.nodes) > 0 && !admitted { // what has changed causes another one
		known.admitting = false
		return false
	}
	a.nodes, a.rules = a.nodes[:0], known.rulesFor(known.update)
	for _, name := range known.cells.Admissible(Batch) {
		if node := u.nodes[name]; node != nil {
			a.nodes = append(a.nodes, node)
		}
	}
	known.admitting = len(a.nodes) > 0
	return known.admitting
}

// admitSome admits the nodes that were judged, unless they or the rules have changed since then.
func (a *admit) admitSome(u Update) (some bool) {
	for i, node := range a.nodes {
		if u.nodes[node.Name] != node || a.known.rulesFor(a.known.update) != a.rules || !a.known.cells.Admit(node.Name, a.verdicts[i], u.now) {
			continue
		}
		some = true
		a.known.cells.JudgePlacement(node, a.known.templateRulesOf, u.now)
		u.changed(a.key.On(node.Name))
	}
	return some
}

func (a *admit) Compute() {
	a.verdicts = a.verdicts[:0]
	for _, node := range a.nodes {
		a.verdicts = append(a.verdicts, a.rules.Evaluate(node))
	}
}

// judgeAgain judges a node by the rules of its target, which has changed.
type judgeAgain struct {
	key   daemon.WorkloadKey
	known *tracked
	node  string

	judges  *corev1.Node
	rules   *daemon.Rules
	verdict daemon.Verdict
}

func (j *judgeAgain) Step(u Update) (more bool) {
	if u.daemons[j.key] != j.known || !j.known.counted() {
		return false // a pass judges all nodes
	}
	if j.judges == nil {
		j.judges, j.rules = u.nodes[j.node], j.known.rulesOf(j.node)
		return j.judges != nil && j.rules != nil
	}
	if u.note(j.known, j.rules, j.judges, j.verdict) {
		u.changed(j.key.On(j.node))
	}
	return false
}

func (j *judgeAgain) Compute() {
	if j.judges != nil {
		j.verdict = j.rules.Evaluate(j.judges)
	}
}

// setPod puts a pod into its cell. While the rollout holds nodes back, that may change the cell's target: a node that has a pod of the
// update revision is admitted.
func (u Update) setPod(cell daemon.CellKey, known *tracked, pod *Pod) {
	if known.hold == nil {
		known.cells.SetPod(cell.Node, &pod.Pod, u.now)
		return
	}
	target := known.cells.TargetOf(cell.Node)
	known.cells.SetPod(cell.Node, &pod.Pod, u.now)
	if known.cells.TargetOf(cell.Node) != target {
		u.later(&judgeAgain{key: cell.Workload(), known: known, node: cell.Node})
	}
}
