package controller

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// DaemonKey names a daemon. The namespace is part of it: an owner reference is only valid within
// one, and a pod elsewhere that carries the daemon's UID is a forgery.
type DaemonKey struct {
	Namespace string
	UID       types.UID
}

func keyOf(object *v1alpha1.DaemonSet) DaemonKey { return DaemonKey{object.Namespace, object.UID} }

func ownerOf(cell daemon.CellKey) DaemonKey { return DaemonKey{cell.Namespace, cell.Owner} }

func (k DaemonKey) on(node string) daemon.CellKey {
	return daemon.CellKey{Namespace: k.Namespace, Owner: k.UID, Node: node}
}

// model is what is known of the cluster: every node, every daemon, and of each daemon its cells, with what is
// due for them and what keeps them waiting. It has no lock and does nothing by itself: an update takes in what
// was observed, and returns what that wakes.
type model struct {
	kinds Kinds
	// nonce is in the names of pods that come after none that is known. No process ever had the same.
	nonce string
	begun bool // everything there is was seen: work may go on

	nodes     map[string]*corev1.Node
	nodeNames keys[string]
	daemons   map[DaemonKey]*workload
	owners    keys[DaemonKey]        // of daemons
	pods      map[types.UID]*seenPod // those that are in a cell, as they were seen last
	claims    claims
	awaited   awaited
	records   records
	index     index

	priorities priorities
}

func newModel(kinds Kinds, nonce string) *model {
	return &model{
		kinds: kinds, nonce: nonce,
		nodes:     map[string]*corev1.Node{},
		nodeNames: newKeys(strings.Compare),
		daemons:   map[DaemonKey]*workload{},
		owners:    newKeys(compareKeys),
		pods:      map[types.UID]*seenPod{},
		claims:    newClaims(),
		awaited:   newAwaited(),
		records:   newRecords(),
		index:     newIndex(),

		priorities: priorities{byClass: map[string]int32{}},
	}
}

// workload is one daemon. Pods may be seen before their daemon and stay after it: then object is
// nil, and there is nothing to do about them.
type workload struct {
	name             string
	object           *v1alpha1.DaemonSet // read only
	template         *daemon.Template    // read only; of object's generation
	id               daemon.TemplateID   // of template
	judging          bool                // the nodes are being looked at again: nothing is planned meanwhile
	counting         *pass               // the cells are being counted again: likewise
	revisionResolved bool                // what template is called is known: its pods can be told from others
	selector         labels.Selector     // cannot change
	rules            *daemon.Rules
	cells            daemon.Cells
	problems         map[string]daemon.Problem // by node; what keeps pods from being made
	affected         keys[string]              // the nodes of problems
	priority         int32                     // of its pods
	gone             bool                      // the API server says so; the watch does not yet
	unserved         *daemon.Problem           // why nothing is done for it; what is above is then of an earlier state, if of any
}

// active says whether the daemon is there, can be served, and is not being deleted. A daemon that is
// being deleted keeps its pods as they are: the garbage collector, or whoever asked for orphans, decides
// about them.
func (w *workload) active() bool {
	return w != nil && w.object != nil && w.object.DeletionTimestamp == nil && w.unserved == nil && !w.gone
}

// keptUp says whether anything is planned for the daemon.
func (w *workload) keptUp() bool {
	return w.active() && w.revisionResolved && !w.judging && w.counting == nil
}

// sameCollisions says whether two states of a daemon call its template the same.
func sameCollisions(a, b *v1alpha1.DaemonSet) bool {
	return ptr.Deref(a.Status.CollisionCount, 0) == ptr.Deref(b.Status.CollisionCount, 0)
}

// calledAs is what a template is called that may not be known.
func calledAs(template *daemon.Template) string {
	if template == nil {
		return ""
	}
	return template.Revision
}

// begin lets work go on, once everything there is was seen: a cell that is planned before its pods
// were seen asks for one, a rollout that does not know of every pod would take what its limits do
// not allow, and what a template is called is in its record.
func (u update) begin() {
	u.model.begun = true
	u.later(&eachDaemon{f: func(u update, key DaemonKey, known *workload) {
		if known.active() && !known.judging && !known.revisionResolved {
			u.resolveRevision(key, known, true)
		}
	}})
}

// replan has every cell planned again: what kept pods from being made is over.
func (u update) replan() {
	u.later(&eachDaemon{f: func(u update, key DaemonKey, known *workload) {
		if known.keptUp() {
			u.planAll(key, known)
		}
	}})
}

// podIs takes a pod as it is now. It may have changed its owner or its node since it was last
// seen, so that it leaves the cell it was in.
func (u update) podIs(pod *seenPod) {
	u.place(pod)
	u.noteOrphan(pod)
	if pod.orphanOn != "" {
		u.later(&findOwner{pod: pod})
	}
}

// place puts a pod into its cell and takes it out of the one it was in. A pod that its daemon has
// to let go is in none.
func (u update) place(pod *seenPod) {
	_, due := u.claims.cellOf[pod.UID]
	u.dropClaims(pod.UID)
	cell, ours := pod.cell, pod.ours
	stray := ours && u.workload(ownerOf(cell)).noLongerSelected(pod)
	old, had := u.pods[pod.UID]
	switch {
	case stray && had && old.cell == cell:
		u.takeOut(old, (*daemon.Cells).ReleasePod)
	case had && (!ours || stray || old.cell != cell):
		u.removePod(old)
	case stray && !due:
		u.workload(ownerOf(cell)).cells.ReleasePod(cell.Node, pod.UID, u.now)
	}
	switch {
	case stray:
		u.claims.add(cell, claim{pod: pod})
		u.changed(cell)
	case ours:
		u.pods[pod.UID] = pod
		known := u.workload(ownerOf(cell))
		if known.object == nil { // one that is there has a name, whatever its pods say
			known.name = pod.family.Value().daemon
		}
		known.cells.SetPod(cell.Node, pod.observed, u.now)
		if had && old.observed.Revision != pod.observed.Revision {
			u.lost(ownerOf(cell), known, old.observed.Revision)
		}
		u.misnamed(ownerOf(cell), known, pod.observed.Revision)
		u.changed(cell)
		u.noteFormer(cell, known, pod)
	}
}

// lost looks whether a daemon's last pod of a revision is gone, or is called otherwise now.
func (u update) lost(key DaemonKey, known *workload, revision string) {
	if known.cells.Holds(revision) {
		return
	}
	u.enqueueHistory(key)
	if known.active() && !known.revisionResolved && !known.judging {
		u.resolveRevision(key, known, false)
	}
}

// dropClaims forgets what was due of a pod, and has the cell planned that waited for it.
func (u update) dropClaims(pod types.UID) {
	if cell, was := u.claims.drop(pod); was {
		u.changed(cell)
	}
}

// podLeft takes a pod out of the cell it was in, whatever it looked like in the end.
func (u update) podLeft(pod *seenPod) {
	u.dropClaims(pod.UID)
	drop(u.claims.orphans, pod.Namespace, pod.UID)
	if cell, awaits := u.awaited.by(pod); awaits {
		u.changed(cell)
	}
	if old, had := u.pods[pod.UID]; had {
		u.removePod(old)
	}
}

func (u update) removePod(pod *seenPod) { u.takeOut(pod, (*daemon.Cells).RemovePod) }

// takeOut takes a pod out of its cell, in one of two ways.
func (u update) takeOut(pod *seenPod, remove func(*daemon.Cells, string, types.UID, time.Time)) {
	delete(u.pods, pod.UID)
	cell := pod.cell
	known := u.daemons[ownerOf(cell)]
	remove(&known.cells, cell.Node, pod.UID, u.now)
	u.index.noFormer(pod.UID)
	u.lost(ownerOf(cell), known, pod.observed.Revision)
	u.changed(cell)
	if known.object == nil {
		u.follow(cell, known)
	}
	u.forgetEmpty(ownerOf(cell))
}

// changed has a cell planned, its daemon reported, and lets the daemon's rollout go on.
func (u update) changed(cell daemon.CellKey) {
	key := ownerOf(cell)
	known := u.daemons[key]
	if known != nil && u.begun {
		u.plan(cell, known.priority)
	}
	u.report(key)
	u.goOn(key, known)
}

func (u update) workload(key DaemonKey) *workload {
	known, ok := u.daemons[key]
	if !ok {
		known = &workload{affected: newKeys(strings.Compare)}
		u.daemons[key] = known
		u.owners.ReplaceOrInsert(key)
	}
	return known
}

// forgetEmpty drops a daemon that is gone and has no pods any more.
func (u update) forgetEmpty(key DaemonKey) {
	if known := u.daemons[key]; known != nil && known.object == nil && known.cells.Len() == 0 {
		delete(u.daemons, key)
		u.owners.Delete(key)
	}
}

// task is a plan with what it takes to act on it; all of it is read only.
type task struct {
	daemon.Plan
	claims   []claim // due first: they change what there is to plan
	object   *v1alpha1.DaemonSet
	template *daemon.Template
	selector labels.Selector
	node     *corev1.Node // nil when the node is gone
	names    []string     // of the pod to make, and to try when somebody else's pod has the first
	former   string       // a pod of a former daemon of the same name that is there
	made     bool         // set when the plan's pod was made
}

// task plans a cell now; it is empty when there is nothing to keep up.
func (u update) task(cell daemon.CellKey) task {
	known := u.daemons[ownerOf(cell)]
	if !known.keptUp() {
		return task{}
	}
	before := known.cells.Counters()
	plan := known.cells.Plan(cell.Node, u.now)
	if known.cells.Counters() != before { // a pod became available by waiting
		u.report(ownerOf(cell))
		u.goOn(ownerOf(cell), known)
	}
	task := task{Plan: plan, object: known.object, template: known.template, selector: known.selector, node: u.nodes[cell.Node], claims: u.claims.of(cell)}
	if len(plan.Actions) > 0 {
		task.names = u.names(known, cell.Node)
		task.former = u.former(cell, known)
	}
	return task
}

// names are those that a daemon's new pod on a node may get. Where no pod is known that it comes after there may have been
// one before this process began, or before the node was created again.
func (u update) names(known *workload, node string) []string {
	after := known.cells.After(node)
	if after == "" {
		after = u.nonce
		if object := u.nodes[node]; object != nil {
			after += "/" + string(object.UID)
		}
	}
	return known.template.PodNames(node, after)
}

// deleted notes that the API server took a delete of a pod: rollouts count on it before the watch
// tells.
func (u update) deleted(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[ownerOf(cell)]; ok {
		known.cells.Deleted(cell.Node, pod, u.now)
		u.goOn(ownerOf(cell), known)
	}
}

// replaced notes that a finished pod was removed, so that the next one of its cell waits longer.
func (u update) replaced(cell daemon.CellKey) {
	if known, ok := u.daemons[ownerOf(cell)]; ok {
		known.cells.Replaced(cell.Node, u.now)
	}
}

// active collects all daemons that are kept up.
func active(objects *[]*v1alpha1.DaemonSet) work {
	return &eachDaemon{f: func(_ update, _ DaemonKey, known *workload) {
		if known.active() {
			*objects = append(*objects, known.object)
		}
	}}
}
