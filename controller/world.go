package controller

import (
	"cmp"
	"maps"
	"slices"
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

// world is what is known of the cluster: every node, every daemon, and of each daemon its
// cells. It is told what informers see and tells whose plan or status may have changed.
// It is safe for concurrent use.
type world struct {
	now func() time.Time
	// plan and report are called for every cell to plan and every daemon whose
	// status to look at. They must not block and not call back.
	plan   func(cell daemon.CellKey, priority int32)
	report func(DaemonKey)
	// record is called likewise, for every daemon whose template may be new and for every one that
	// lost a pod: its history may have to follow.
	enqueueHistory func(DaemonKey)
	// recorded finds the record of a daemon's template, and those that are the same template's too.
	// It must not block and not call back.
	recorded func(*subject) (current *daemon.Record, duplicates []daemon.Record)
	// nonce is in the names of pods that come after none that is known. No process ever had the same.
	nonce string

	mu        hold
	passes    []*pass // to make once mu is unlocked
	begun     bool    // everything there is was seen: work may go on
	nodes     map[string]*corev1.Node
	nodeNames keys[string]
	daemons   map[DaemonKey]*workload
	owners    keys[DaemonKey]        // of daemons
	pods      map[types.UID]*seenPod // those that are in a cell, as they were seen last
	claims    claims
	awaited   awaited
	index     index

	priorities priorities
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

func newWorld(now func() time.Time, plan func(daemon.CellKey, int32), report func(DaemonKey)) *world {
	return &world{
		now: now, plan: plan, report: report,
		enqueueHistory: func(DaemonKey) {},
		recorded:       func(*subject) (*daemon.Record, []daemon.Record) { return nil, nil },
		nodes:          map[string]*corev1.Node{},
		daemons:        map[DaemonKey]*workload{},
		owners:         newKeys(compareKeys),
		pods:           map[types.UID]*seenPod{},
		claims:         newClaims(),
		awaited:        newAwaited(),
		index:          newIndex(),

		nodeNames:  newKeys(strings.Compare),
		priorities: priorities{byClass: map[string]int32{}},
	}
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
func (w *world) begin() {
	w.mu.Lock()
	w.begun = true
	w.unlock()
	w.eachDaemon(func(key DaemonKey, known *workload) {
		if known.active() && !known.judging && !known.revisionResolved {
			w.resolveRevision(key, known, true)
		}
	})
}

func (w *world) hasBegun() bool {
	w.mu.Lock()
	defer w.unlock()
	return w.begun
}

// replan has every cell planned again: what kept pods from being made is over.
func (w *world) replan() {
	w.eachDaemon(func(key DaemonKey, known *workload) {
		if known.keptUp() {
			w.planAll(key, known)
		}
	})
}

// wake has cells planned again that were held back.
func (w *world) wake(cells []daemon.CellKey) {
	for some := range slices.Chunk(cells, batch) {
		w.mu.Lock()
		for _, cell := range some {
			if known := w.daemons[ownerOf(cell)]; known.keptUp() {
				w.plan(cell, known.priority)
			}
		}
		w.unlock()
	}
}

// podIs takes a pod as it is now. It may have changed its owner or its node since it was last
// seen, so that it leaves the cell it was in.
func (w *world) podIs(pod *seenPod) {
	w.mu.Lock()
	w.place(pod)
	w.noteOrphan(pod)
	w.unlock()
	if pod.orphanOn != "" {
		w.findOwner(pod)
	}
}

// place puts a pod into its cell and takes it out of the one it was in. A pod that its daemon has
// to let go is in none.
func (w *world) place(pod *seenPod) {
	_, due := w.claims.cellOf[pod.UID]
	w.dropClaims(pod.UID)
	cell, ours := pod.cell, pod.ours
	stray := ours && w.workload(ownerOf(cell)).noLongerSelected(pod)
	old, had := w.pods[pod.UID]
	switch {
	case stray && had && old.cell == cell:
		w.takeOut(old, (*daemon.Cells).ReleasePod)
	case had && (!ours || stray || old.cell != cell):
		w.removePod(old)
	case stray && !due:
		w.workload(ownerOf(cell)).cells.ReleasePod(cell.Node, pod.UID, w.now())
	}
	switch {
	case stray:
		w.claims.add(cell, claim{pod: pod})
		w.changed(cell)
	case ours:
		w.pods[pod.UID] = pod
		known := w.workload(ownerOf(cell))
		if known.object == nil { // one that is there has a name, whatever its pods say
			known.name = pod.family.Value().daemon
		}
		known.cells.SetPod(cell.Node, pod.observed, w.now())
		if had && old.observed.Revision != pod.observed.Revision {
			w.lost(ownerOf(cell), known, old.observed.Revision)
		}
		w.misnamed(ownerOf(cell), known, pod.observed.Revision)
		w.changed(cell)
		w.noteFormer(cell, known, pod)
	}
}

// lost looks whether a daemon's last pod of a revision is gone, or is called otherwise now.
func (w *world) lost(key DaemonKey, known *workload, revision string) {
	if known.cells.Holds(revision) {
		return
	}
	w.enqueueHistory(key)
	if known.active() && !known.revisionResolved && !known.judging {
		w.resolveRevision(key, known, false)
	}
}

// dropClaims forgets what was due of a pod, and has the cell planned that waited for it.
func (w *world) dropClaims(pod types.UID) {
	if cell, was := w.claims.drop(pod); was {
		w.changed(cell)
	}
}

// podLeft takes a pod out of the cell it was in, whatever it looked like in the end.
func (w *world) podLeft(pod *seenPod) {
	w.mu.Lock()
	defer w.unlock()
	w.dropClaims(pod.UID)
	drop(w.claims.orphans, pod.Namespace, pod.UID)
	if cell, awaits := w.awaited.by(pod); awaits {
		w.changed(cell)
	}
	if old, had := w.pods[pod.UID]; had {
		w.removePod(old)
	}
}

func (w *world) removePod(pod *seenPod) { w.takeOut(pod, (*daemon.Cells).RemovePod) }

// takeOut takes a pod out of its cell, in one of two ways.
func (w *world) takeOut(pod *seenPod, remove func(*daemon.Cells, string, types.UID, time.Time)) {
	delete(w.pods, pod.UID)
	cell := pod.cell
	known := w.daemons[ownerOf(cell)]
	remove(&known.cells, cell.Node, pod.UID, w.now())
	w.index.noFormer(pod.UID)
	w.lost(ownerOf(cell), known, pod.observed.Revision)
	w.changed(cell)
	if known.object == nil {
		w.follow(cell, known)
	}
	w.forgetEmpty(ownerOf(cell))
}

// changed has a cell planned, its daemon reported, and lets the daemon's rollout go on.
func (w *world) changed(cell daemon.CellKey) {
	key := ownerOf(cell)
	known := w.daemons[key]
	if known != nil && w.begun {
		w.plan(cell, known.priority)
	}
	w.report(key)
	w.goOn(key, known)
}

func (w *world) workload(key DaemonKey) *workload {
	known, ok := w.daemons[key]
	if !ok {
		known = &workload{affected: newKeys(strings.Compare)}
		w.daemons[key] = known
		w.owners.ReplaceOrInsert(key)
	}
	return known
}

// forgetEmpty drops a daemon that is gone and has no pods any more.
func (w *world) forgetEmpty(key DaemonKey) {
	if known := w.daemons[key]; known != nil && known.object == nil && known.cells.Len() == 0 {
		delete(w.daemons, key)
		w.owners.Delete(key)
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
func (w *world) task(cell daemon.CellKey) task {
	w.mu.Lock()
	defer w.unlock()
	return w.taskLocked(cell)
}

func (w *world) taskLocked(cell daemon.CellKey) task {
	known := w.daemons[ownerOf(cell)]
	if !known.keptUp() {
		return task{}
	}
	before := known.cells.Counters()
	plan := known.cells.Plan(cell.Node, w.now())
	if known.cells.Counters() != before { // a pod became available by waiting
		w.report(ownerOf(cell))
		w.goOn(ownerOf(cell), known)
	}
	task := task{Plan: plan, object: known.object, template: known.template, selector: known.selector, node: w.nodes[cell.Node]}
	if len(plan.Actions) > 0 {
		task.names = w.names(known, cell.Node)
		task.former = w.former(cell, known)
	}
	for _, uid := range slices.Sorted(maps.Keys(w.claims.byCell[cell])) {
		task.claims = append(task.claims, w.claims.byCell[cell][uid])
	}
	return task
}

// names are those that a daemon's new pod on a node may get. Where no pod is known that it comes after there may have been
// one before this process began, or before the node was created again.
func (w *world) names(known *workload, node string) []string {
	after := known.cells.After(node)
	if after == "" {
		after = w.nonce
		if object := w.nodes[node]; object != nil {
			after += "/" + string(object.UID)
		}
	}
	return known.template.PodNames(node, after)
}

// deleted notes that the API server took a delete of a pod: rollouts count on it before the watch
// tells.
func (w *world) deleted(cell daemon.CellKey, pod types.UID) {
	w.mu.Lock()
	defer w.unlock()
	if known, ok := w.daemons[ownerOf(cell)]; ok {
		known.cells.Deleted(cell.Node, pod, w.now())
		w.goOn(ownerOf(cell), known)
	}
}

// replaced notes that a finished pod was removed, so that the next one of its cell waits longer.
func (w *world) replaced(cell daemon.CellKey) {
	w.mu.Lock()
	defer w.unlock()
	if known, ok := w.daemons[ownerOf(cell)]; ok {
		known.cells.Replaced(cell.Node, w.now())
	}
}

// objects are all daemons that are kept up, sorted by namespace and name.
func (w *world) objects() []*v1alpha1.DaemonSet {
	var objects []*v1alpha1.DaemonSet
	w.eachDaemon(func(_ DaemonKey, known *workload) {
		if known.active() {
			objects = append(objects, known.object)
		}
	})
	slices.SortFunc(objects, func(a, b *v1alpha1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return objects
}
