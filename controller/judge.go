package controller

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// What a template costs for each node is up to whoever wrote it. So verdicts are found while the world is not
// locked, and noted a batch at a time, each only if the daemon's rules and the node are still those that it was
// found with.

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
		defer w.unlock()
		w.index.present(key, object.Name, w.workload(key))
		return w.unserve(key, object, problem)
	}
	known, first := w.install(key, object, terms)
	if first {
		w.eachPod(key, known, func(pod *seenPod) { w.index.noFormer(pod.UID) })
	}
	w.judge(known, terms.rules, func(*corev1.Node, daemon.Verdict) {})
	if first {
		w.claimAll(key, known)
	}
	w.mu.Lock()
	defer w.unlock()
	known.judging = false
	w.resolveRevision(key, known, false)
	w.enqueueHistory(key)
	return nil
}

// sameSpec takes a daemon of which only the status, or what it is labelled, has changed.
func (w *world) sameSpec(key DaemonKey, object *v1alpha1.DaemonSet, wrong error) bool {
	w.mu.Lock()
	defer w.unlock()
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
		w.enqueueHistory(key)
	}
	return true
}

// install has a daemon served by other terms. Nothing is planned for it before its nodes are judged by
// them.
func (w *world) install(key DaemonKey, object *v1alpha1.DaemonSet, terms terms) (known *workload, first bool) {
	w.mu.Lock()
	defer w.unlock()
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
	w.report(key)
	return known, first
}

// judge finds the verdicts of all nodes and notes them; news is called, with the world locked, for
// those that changed.
func (w *world) judge(known *workload, rules *daemon.Rules, news func(*corev1.Node, daemon.Verdict)) {
	for last, more := "", true; more; {
		var nodes []*corev1.Node
		w.mu.Lock()
		names := w.nodeNames.after(last, batch)
		for _, name := range names {
			nodes = append(nodes, w.nodes[name])
		}
		w.unlock()
		if more = len(names) == batch; more {
			last = names[len(names)-1]
		}
		w.judgeSome(known, rules, nodes, news)
	}
}

func (w *world) judgeSome(known *workload, rules *daemon.Rules, nodes []*corev1.Node, news func(*corev1.Node, daemon.Verdict)) {
	verdicts := make([]daemon.Verdict, len(nodes))
	for i, node := range nodes {
		verdicts[i] = rules.Evaluate(node)
	}
	w.mu.Lock()
	defer w.unlock()
	for i, node := range nodes {
		if w.note(known, rules, node, verdicts[i]) {
			news(node, verdicts[i])
		}
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
	w.nodeNames.ReplaceOrInsert(node.Name)
	w.unlock()
	w.eachJudged(func(some []judged) {
		for i := range some {
			some[i].verdict = some[i].rules.Evaluate(node)
		}
		w.mu.Lock()
		defer w.unlock()
		for _, one := range some {
			if w.note(one.known, one.rules, node, one.verdict) {
				w.changed(one.key.on(node.Name))
			}
		}
	})
}

func (w *world) nodeGone(name string) {
	w.mu.Lock()
	delete(w.nodes, name)
	w.nodeNames.Delete(name)
	w.unlock()
	w.eachJudged(func(some []judged) {
		w.mu.Lock()
		defer w.unlock()
		for _, one := range some {
			if one.known.cells.RemoveNode(name, w.now()) {
				w.changed(one.key.on(name))
			}
		}
	})
}

// eachJudged calls f, with the world not locked, for a batch of the daemons that nodes are judged for at a time.
func (w *world) eachJudged(f func([]judged)) {
	for last, more := (DaemonKey{}), true; more; {
		w.mu.Lock()
		some, next := w.index.judged(last, batch)
		w.unlock()
		more, last = next != last, next
		f(some)
	}
}

// daemonGone forgets a daemon, but not its pods.
func (w *world) daemonGone(key DaemonKey) {
	w.mu.Lock()
	known, ok := w.daemons[key]
	if !ok {
		w.unlock()
		return
	}
	w.index.gone(key, known.name)
	problems := known.problems
	known.object, known.problems, known.affected = nil, nil, newKeys(strings.Compare)
	w.unlock()
	for some := range slices.Chunk(slices.Sorted(maps.Keys(problems)), batch) {
		w.mu.Lock()
		for _, node := range some {
			w.awaited.await(key.on(node))
		}
		w.unlock()
	}
	w.eachCell(key, known, func(nodes []string) bool {
		for _, node := range nodes {
			known.cells.RemoveNode(node, w.now())
			for _, uid := range known.cells.PodsOn(node) {
				w.noteFormer(key.on(node), known, w.pods[uid])
			}
		}
		return true
	})
	w.releaseClaims(key)
	w.mu.Lock()
	defer w.unlock()
	w.report(key)
	w.forgetEmpty(key)
}
