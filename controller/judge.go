package controller

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// What a template costs for each node is up to whoever wrote it. So verdicts are found while the model is not
// locked, and noted a batch at a time, each only if the daemon's rules and the node are still those that it was
// found with.

// seeDaemon takes a daemon as it is now. A new generation means that every node is judged again.
type seeDaemon struct {
	object *v1alpha1.DaemonSet
	wrong  error // why its spec could not be decoded
	news   error // why the daemon is not served (unserved.go), when that is news

	terms   terms
	problem *daemon.Problem
	read    bool     // terms and problem are of the object
	rest    sequence // what is left to do about one that is served
}

func (d *seeDaemon) step(u update) (more bool) {
	key := keyOf(d.object)
	switch {
	case len(d.rest) > 0:
		return d.rest.step(u)
	case !d.read:
		return !u.sameSpec(key, d.object, d.wrong)
	case d.problem != nil:
		u.index.present(key, d.object.Name, u.workload(key))
		d.news = u.unserve(key, d.object, d.problem)
		return false
	}
	d.rest = u.install(key, d.object, d.terms)
	return true
}

func (d *seeDaemon) compute() {
	switch {
	case len(d.rest) > 0:
		d.rest.compute()
	case !d.read:
		d.terms, d.problem = servable(d.object, d.wrong)
		d.read = true
	}
}

// sameSpec takes a daemon of which only the status, or what it is labelled, has changed.
func (u update) sameSpec(key DaemonKey, object *v1alpha1.DaemonSet, wrong error) bool {
	known, there := u.daemons[key]
	if there && known.gone { // the watch says otherwise
		known.gone = false
		u.planAll(key, known)
	}
	if wrong != nil || !there || known.object == nil || known.unserved != nil || known.object.Generation != object.Generation || !sameCollisions(known.object, object) {
		return false
	}
	touched := !maps.Equal(known.object.Labels, object.Labels) || !maps.Equal(known.object.Annotations, object.Annotations)
	known.object = object
	u.report(key)
	if touched { // by somebody: its records may have waited for that (spare)
		u.enqueueHistory(key)
	}
	return true
}

// install has a daemon served by other terms, and returns what is left to do. Nothing is planned for it before
// its nodes are judged by them.
func (u update) install(key DaemonKey, object *v1alpha1.DaemonSet, terms terms) sequence {
	known := u.workload(key)
	first := known.object == nil || known.unserved != nil
	former := known.template
	if first || known.id.Content != terms.id.Content {
		former = nil
	}
	known.name, known.object, known.unserved, known.judging = object.Name, object, nil, true
	known.selector, known.id, known.rules = terms.selector, terms.id, terms.rules
	known.template = daemon.NewTemplate(object, calledAs(former))
	known.priority = u.priorities.of(object.Spec.Template.Spec.PriorityClassName)
	u.index.present(key, object.Name, known)
	u.report(key)
	rest := sequence{&judgeNodes{known: known, rules: terms.rules}}
	if first {
		noFormer := eachPod(key, known, func(u update, pod *seenPod) { u.index.noFormer(pod.UID) })
		rest = sequence{noFormer, rest[0], &claimAll{key: key, known: known}}
	}
	return append(rest, once(func(u update) {
		known.judging = false
		u.resolveRevision(key, known, false)
		u.enqueueHistory(key)
	}))
}

// judgeNodes finds the verdicts of all nodes by a daemon's rules and notes them.
type judgeNodes struct {
	known *workload
	rules *daemon.Rules
	news  func(update, *corev1.Node, daemon.Verdict) // of those that changed; it may be nil

	last     string
	nodes    []*corev1.Node
	verdicts []daemon.Verdict // of nodes
}

func (j *judgeNodes) step(u update) (more bool) {
	for i, node := range j.nodes {
		if u.note(j.known, j.rules, node, j.verdicts[i]) && j.news != nil {
			j.news(u, node, j.verdicts[i])
		}
	}
	j.nodes = j.nodes[:0]
	for _, name := range u.nodeNames.after(j.last, batch) {
		j.nodes = append(j.nodes, u.nodes[name])
		j.last = name
	}
	return len(j.nodes) > 0
}

func (j *judgeNodes) compute() {
	j.verdicts = j.verdicts[:0]
	for _, node := range j.nodes {
		j.verdicts = append(j.verdicts, j.rules.Evaluate(node))
	}
}

// note notes a verdict, unless it is of rules or of a state of a node that are no longer there, and reports
// whether it is news.
func (u update) note(known *workload, rules *daemon.Rules, node *corev1.Node, verdict daemon.Verdict) bool {
	return known.object != nil && known.rules == rules && u.nodes[node.Name] == node &&
		known.cells.SetNode(node.Name, node.UID, verdict, u.now)
}

// judged is a daemon that a node is judged for.
type judged struct {
	key     DaemonKey
	known   *workload
	rules   *daemon.Rules
	verdict daemon.Verdict
}

// seeNode takes a node as it is now, and judges it for every daemon.
type seeNode struct {
	node *corev1.Node

	taken bool
	last  DaemonKey
	some  []judged
}

func (n *seeNode) step(u update) (more bool) {
	if !n.taken {
		n.taken = true
		u.nodes[n.node.Name] = n.node
		u.nodeNames.ReplaceOrInsert(n.node.Name)
	}
	for _, one := range n.some {
		if u.note(one.known, one.rules, n.node, one.verdict) {
			u.changed(one.key.on(n.node.Name))
		}
	}
	before := n.last
	n.some, n.last = u.index.judged(n.last, batch)
	return n.last != before
}

func (n *seeNode) compute() {
	for i := range n.some {
		n.some[i].verdict = n.some[i].rules.Evaluate(n.node)
	}
}

// removeNode takes a node out of the cells of every daemon.
type removeNode struct {
	locked
	name string
	last DaemonKey
}

func (n *removeNode) step(u update) (more bool) {
	if n.last == (DaemonKey{}) {
		delete(u.nodes, n.name)
		u.nodeNames.Delete(n.name)
	}
	before := n.last
	some, last := u.index.judged(before, batch)
	for _, one := range some {
		if one.known.cells.RemoveNode(n.name, u.now) {
			u.changed(one.key.on(n.name))
		}
	}
	n.last = last
	return last != before
}

// removeDaemon forgets a daemon, but not its pods.
func (u update) removeDaemon(key DaemonKey) {
	known, ok := u.daemons[key]
	if !ok {
		return
	}
	u.index.gone(key, known.name)
	blocked := known.affected
	known.object, known.problems, known.affected = nil, nil, newKeys(strings.Compare)
	u.later(&sequence{
		&unblock{key: key, nodes: blocked},
		&eachCell{key: key, known: known, f: func(u update, nodes []string) bool {
			for _, node := range nodes {
				known.cells.RemoveNode(node, u.now)
				for _, uid := range known.cells.PodsOn(node) {
					u.noteFormer(key.on(node), known, u.pods[uid])
				}
			}
			return true
		}},
		&releaseClaims{key: key},
		once(func(u update) {
			u.report(key)
			u.forgetEmpty(key)
		}),
	})
}

// unblock has the cells of a daemon that is gone wait for no names any more.
type unblock struct {
	locked
	key   DaemonKey
	nodes keys[string]
	last  string
}

func (b *unblock) step(u update) (more bool) {
	nodes := b.nodes.after(b.last, batch)
	for _, node := range nodes {
		u.awaited.await(b.key.on(node))
		b.last = node
	}
	return len(nodes) == batch
}
