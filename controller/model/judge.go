package model

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/everynode/everynode/internal/daemon"
)

// The author of a template decides how much it costs for each node. Verdicts are therefore computed while the model is
// not locked, and stored a batch at a time, each only if the daemon's rules and the node have not changed in the
// meantime.

// SeeDaemon applies the present state of a daemon. For a new generation every node is judged again.
type SeeDaemon struct {
	Workload *daemon.Workload
	News     error // why the daemon is not served (unserved.go), if that is new

	terms   terms
	problem *daemon.Problem
	read    bool     // terms and problem are those of the workload
	rest    sequence // the remaining work for a daemon that is served
}

func (d *SeeDaemon) Step(u Update) (more bool) {
	key := d.Workload.Key
	switch {
	case len(d.rest) > 0:
		return d.rest.Step(u)
	case !d.read:
		return !u.sameSpec(key, d.Workload)
	case d.problem != nil:
		u.index.present(key, d.Workload.Name, u.track(key))
		d.News = u.unserve(key, d.Workload, d.problem)
		return false
	}
	d.rest = u.install(key, d.Workload, d.terms)
	return true
}

func (d *SeeDaemon) Compute() {
	switch {
	case len(d.rest) > 0:
		d.rest.Compute()
	case !d.read:
		d.terms, d.problem = servable(d.Workload)
		d.read = true
	}
}

// sameSpec applies a state of a daemon that differs only in its metadata or status; false if more has changed.
func (u Update) sameSpec(key daemon.WorkloadKey, workload *daemon.Workload) bool {
	known, there := u.daemons[key]
	if there && known.gone { // the watch shows it again
		known.gone = false
		u.planAll(key, known)
	}
	if workload.Undecodable != nil || !there || known.workload == nil || known.unserved != nil || known.workload.Generation != workload.Generation || !equality.Semantic.DeepEqual(known.workload.Rollout, workload.Rollout) || known.workload.Collisions() != workload.Collisions() {
		return false
	}
	touched := !maps.Equal(known.workload.Labels, workload.Labels) || !maps.Equal(known.workload.Annotations, workload.Annotations)
	known.workload = workload
	u.Report(key)
	if touched { // by a user or a client: records may have waited for that (spare)
		u.enqueueHistory(key)
		u.goOn(key, known) // verbs and checks are annotations
	}
	return true
}

// install serves a daemon by new terms, and returns the remaining work. Nothing is planned for the daemon until its
// nodes are judged by these terms.
func (u Update) install(key daemon.WorkloadKey, workload *daemon.Workload, terms terms) sequence {
	known := u.track(key)
	first := known.workload == nil || known.unserved != nil
	if !first && known.workload.Generation != workload.Generation {
		u.endRefusal(key, known, false) // all cells are planned
	}
	former := known.template
	if first || known.id.Content != terms.id.Content {
		former = nil
	}
	judging := &judgeNodes{known: known}
	known.workload, known.deleted, known.unserved, known.judging = workload, false, nil, judging
	known.selector, known.id, known.templateRules, known.readBack = terms.selector, terms.id, terms.rules, false
	known.hold, known.unreadable = terms.hold, ""
	known.template = daemon.NewTemplate(workload, calledAs(former))
	known.rules = u.withClass(known.template, terms.rules)
	u.noteRuntimeClasses(key, known)
	if known.update == "" {
		known.priority = u.priorities.of(workload.Template.Spec.PriorityClassName)
	}
	u.index.present(key, workload.Name, known)
	u.Report(key)
	judge := u.decide(key, known)
	var rest sequence
	if first {
		rest = append(rest, eachPod(key, known, func(u Update, pod *Pod) { u.index.noFormer(pod.UID) }))
	}
	if judge {
		rest = append(rest, judging)
	}
	if first {
		rest = append(rest, &claimAll{key: key, known: known})
	}
	return append(rest, once(func(u Update) {
		u.judged(key, known, judging, false)
		u.enqueueHistory(key)
	}))
}

// judgeNodes computes and stores the verdicts of all nodes, each by the rules of its target.
type judgeNodes struct {
	known *tracked
	news  func(Update, *corev1.Node, daemon.Verdict) // called for verdicts that changed; may be nil

	last     string
	nodes    []*corev1.Node
	rules    []*daemon.Rules  // of nodes
	verdicts []daemon.Verdict // of nodes
}

func (j *judgeNodes) Step(u Update) (more bool) {
	for i, node := range j.nodes {
		if u.note(j.known, j.rules[i], node, j.verdicts[i]) && j.news != nil {
			j.news(u, node, j.verdicts[i])
		}
	}
	j.nodes, j.rules = j.nodes[:0], j.rules[:0]
	for _, name := range u.nodeNames.after(j.last, Batch) {
		j.nodes, j.rules = append(j.nodes, u.nodes[name]), append(j.rules, j.known.rulesOf(name))
		j.last = name
	}
	return len(j.nodes) > 0
}

func (j *judgeNodes) Compute() {
	j.verdicts = j.verdicts[:0]
	for i, node := range j.nodes {
		j.verdicts = append(j.verdicts, j.rules[i].Evaluate(node))
	}
}

// note stores a verdict, unless the rules or the node have changed since it was computed, and reports whether it
// changed anything.
func (u Update) note(known *tracked, rules *daemon.Rules, node *corev1.Node, verdict daemon.Verdict) bool {
	if known.workload == nil || known.rulesOf(node.Name) != rules || u.nodes[node.Name] != node {
		return false
	}
	eligible := known.cells.SetNode(node.Name, node.UID, verdict, u.now)
	blocked := known.cells.JudgePlacement(node, known.templateRulesOf, u.now)
	return eligible || blocked
}

// judged is a daemon that a node is judged for.
type judged struct {
	key     daemon.WorkloadKey
	known   *tracked
	rules   *daemon.Rules
	verdict daemon.Verdict
}

// SeeNode applies the present state of a node, and judges it for every daemon.
type SeeNode struct {
	Node *corev1.Node
	// Before is the node's former state if no verdict can depend on the difference: the node is then only judged for
	// daemons whose policy reads what changed.
	Before *corev1.Node

	taken  bool
	judges *corev1.Node
	last   daemon.WorkloadKey
	some   []judged
}

func (n *SeeNode) Step(u Update) (more bool) {
	if !n.taken {
		n.taken = true
		u.observeFacts(n.Node)
		if known, there := u.nodes[n.Node.Name]; there && n.Before != nil {
			n.judges = known // verdicts under way are of this state
		} else {
			n.judges, n.Before = n.Node, nil
			u.nodes[n.Node.Name] = n.Node
			u.nodeNames.ReplaceOrInsert(n.Node.Name)
		}
	}
	for _, one := range n.some {
		if u.note(one.known, one.rules, n.judges, one.verdict) {
			u.changed(one.key.On(n.Node.Name))
		}
	}
	before := n.last
	n.some, n.last = u.index.judged(n.last, Batch)
	if n.Before != nil {
		n.some = slices.DeleteFunc(n.some, func(one judged) bool { return !daemon.NodeChanged(n.Before, n.Node, one.known.cells.Reads()) })
	}
	for i := range n.some {
		one := &n.some[i]
		if one.known.cells.Retarget(n.Node.Name, u.now) {
			u.changed(one.key.On(n.Node.Name))
		}
		one.rules = one.known.rulesOf(n.Node.Name)
	}
	return n.last != before
}

func (n *SeeNode) Compute() {
	for i := range n.some {
		n.some[i].verdict = n.some[i].rules.Evaluate(n.judges)
	}
}

// ForgetNode removes a node from the cells of every daemon.
type ForgetNode struct {
	locked
	Name string
	last daemon.WorkloadKey
}

func (n *ForgetNode) Step(u Update) (more bool) {
	if n.last == (daemon.WorkloadKey{}) {
		delete(u.nodes, n.Name)
		delete(u.facts, n.Name)
		u.nodeNames.Delete(n.Name)
	}
	before := n.last
	some, last := u.index.judged(before, Batch)
	for _, one := range some {
		if one.known.cells.RemoveNode(n.Name, u.now) {
			u.changed(one.key.On(n.Name))
		}
	}
	n.last = last
	return last != before
}

// ForgetDaemon removes a daemon, but not its pods.
func (u Update) ForgetDaemon(key daemon.WorkloadKey) {
	known, ok := u.daemons[key]
	if !ok {
		return
	}
	u.index.gone(key, known.name())
	known.formerName = known.name()
	obstacles := known.obstacles
	known.workload, known.deleted, known.obstacles, known.refusal = nil, true, newObstacles(), nil
	known.update, known.templates, known.judging = "", nil, nil
	u.noteRuntimeClasses(key, known)
	u.later(&sequence{
		&forgetObstacles{key: key, of: obstacles},
		&eachCell{key: key, known: known, f: func(u Update, nodes []string) bool {
			for _, node := range nodes {
				known.cells.RemoveNode(node, u.now)
				u.noteProbe(key.On(node), known)
				for _, uid := range known.cells.PodsOn(node) {
					u.noteFormer(key.On(node), known, u.pods[uid])
				}
			}
			return true
		}},
		&releaseClaims{key: key},
		once(func(u Update) {
			u.Report(key)
			u.forgetEmpty(key)
		}),
	})
}

// OwnerGone records that a daemon does not exist at the API server any more, or is being deleted. It counts as being
// deleted until the watch shows it again: its pods are left to the garbage collector.
func (u Update) OwnerGone(key daemon.WorkloadKey) {
	if known := u.daemons[key]; known != nil {
		known.gone = true
	}
}
