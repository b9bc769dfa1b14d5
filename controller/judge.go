package controller

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// What a template costs for each node is up to whoever wrote it, and how many nodes and daemons there are
// to the cluster. So verdicts are found while the world is not locked, and noted a few at a time, each
// only if the daemon's rules and the node are still those that it was found with.
const notedAtOnce = 64

// daemonSeen takes a daemon as it is now. A new generation means that every node is judged again. An
// error is why the daemon is not served (unserved.go), when that is news.
func (w *world) daemonSeen(object *v1alpha1.DaemonSet) error { return w.daemonRead(object, nil) }

// daemonRead is daemonSeen for one whose spec may have been impossible to decode.
func (w *world) daemonRead(object *v1alpha1.DaemonSet, wrong error) error {
	key := keyOf(object)
	if w.sameSpec(key, object, wrong) {
		return nil
	}
	terms, problem := servable(object, wrong)
	if problem != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.index.present(key, object.Name, w.workload(key))
		return w.unserve(key, object, problem)
	}
	known, first := w.install(key, object, terms)
	w.judge(known, terms.rules, func(*corev1.Node, daemon.Verdict) {})
	if first {
		w.claimAll(key, known)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known.judging = false
	w.settleTemplate(key, known, w.planAll)
	w.record(key)
	return nil
}

// sameSpec takes a daemon of which only the status, or what it is labelled, has changed.
func (w *world) sameSpec(key DaemonKey, object *v1alpha1.DaemonSet, wrong error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, there := w.daemons[key]
	if there && known.gone { // the watch says otherwise
		known.gone = false
		w.planAll(key, known)
	}
	if wrong != nil || !there || known.object == nil || known.unserved != nil || known.object.Generation != object.Generation || !sameCollisions(known.object, object) {
		return false
	}
	touched := !maps.Equal(known.object.Labels, object.Labels) || !maps.Equal(known.object.Annotations, object.Annotations)
	known.object = object
	w.report(key)
	if touched { // by somebody: its records may have waited for that (spare)
		w.record(key)
	}
	return true
}

// install has a daemon served by other terms. Nothing is planned for it before its nodes are judged by
// them.
func (w *world) install(key DaemonKey, object *v1alpha1.DaemonSet, terms terms) (known *workload, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known = w.workload(key)
	first = known.object == nil || known.unserved != nil
	former := known.template
	if first || known.id.Content != terms.id.Content {
		former = nil
	}
	known.name, known.object, known.unserved, known.judging = object.Name, object, nil, true
	known.selector, known.id, known.rules = terms.selector, terms.id, terms.rules
	known.template = daemon.NewTemplate(object, calledAs(former))
	known.priority = w.priorities.of(object.Spec.Template.Spec.PriorityClassName)
	w.index.present(key, object.Name, known)
	known.cells.EachPod(w.index.noFormer)
	w.report(key)
	return known, first
}

// judge finds the verdicts of all nodes and notes them; news is called, with the world locked, for
// those that changed.
func (w *world) judge(known *workload, rules *daemon.Rules, news func(*corev1.Node, daemon.Verdict)) {
	w.mu.Lock()
	nodes := slices.Collect(maps.Values(w.nodes))
	w.mu.Unlock()
	for some := range slices.Chunk(nodes, notedAtOnce) {
		verdicts := make([]daemon.Verdict, len(some))
		for i, node := range some {
			verdicts[i] = rules.Evaluate(node)
		}
		w.mu.Lock()
		for i, node := range some {
			if w.note(known, rules, node, verdicts[i]) {
				news(node, verdicts[i])
			}
		}
		w.mu.Unlock()
	}
}

// note notes a verdict, unless it is of rules or of a state of a node that are no longer there, and says
// whether it is news.
func (w *world) note(known *workload, rules *daemon.Rules, node *corev1.Node, verdict daemon.Verdict) bool {
	return known.object != nil && known.rules == rules && w.nodes[node.Name] == node &&
		known.cells.SetNode(node.Name, node.UID, verdict, w.now())
}

// judged is a daemon that a node is judged for.
type judged struct {
	key     DaemonKey
	known   *workload
	rules   *daemon.Rules
	verdict daemon.Verdict
}

// nodeSeen judges a node for every daemon.
func (w *world) nodeSeen(node *corev1.Node) {
	w.mu.Lock()
	w.nodes[node.Name] = node
	all := w.index.judged()
	w.mu.Unlock()
	for some := range slices.Chunk(all, notedAtOnce) {
		for i := range some {
			some[i].verdict = some[i].rules.Evaluate(node)
		}
		w.mu.Lock()
		for _, one := range some {
			if w.note(one.known, one.rules, node, one.verdict) {
				w.changed(one.key.on(node.Name))
			}
		}
		w.mu.Unlock()
	}
}

func (w *world) nodeGone(name string) {
	w.mu.Lock()
	delete(w.nodes, name)
	all := w.index.judged()
	w.mu.Unlock()
	for some := range slices.Chunk(all, notedAtOnce) {
		w.mu.Lock()
		for _, one := range some {
			if one.known.cells.RemoveNode(name, w.now()) {
				w.changed(one.key.on(name))
			}
		}
		w.mu.Unlock()
	}
}

// daemonGone forgets a daemon, but not its pods.
func (w *world) daemonGone(key DaemonKey) {
	w.mu.Lock()
	known, ok := w.daemons[key]
	if !ok {
		w.mu.Unlock()
		return
	}
	w.index.gone(key, known.name)
	for node := range known.problems {
		w.awaited.await(key.on(node))
	}
	known.object, known.problems = nil, nil
	nodes := known.cells.Nodes()
	w.mu.Unlock()
	for some := range slices.Chunk(nodes, notedAtOnce) {
		w.mu.Lock()
		for _, node := range some {
			known.cells.RemoveNode(node, w.now())
			for _, uid := range known.cells.PodsOn(node) {
				w.noteFormer(key.on(node), known, w.pods[uid])
			}
		}
		w.mu.Unlock()
	}
	w.renounce(key)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report(key)
	w.forgetEmpty(key)
}
