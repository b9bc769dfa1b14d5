package model

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// Model is what is known of the cluster: every node, every daemon, and of each daemon its cells, with what is
// due for them and what keeps them waiting. It has no lock and does nothing by itself: an update takes in what
// was observed, and returns what that wakes.
type Model struct {
	kinds Kinds
	// nonce is in the names of pods that come after none that is known. No process ever had the same.
	nonce string
	begun bool // everything there is was seen: work may go on

	nodes     map[string]*corev1.Node
	facts     map[string]*daemon.NodeFacts // of nodes, where some policy reads their status
	nodeNames keys[string]
	daemons   map[daemon.WorkloadKey]*tracked
	owners    keys[daemon.WorkloadKey] // of daemons
	pods      map[types.UID]*Pod       // those that are in a cell, as they were seen last
	claims    claims
	awaited   map[types.NamespacedName]daemon.CellKey // cells, by the names that their obstacles wait for
	records   records
	index     index
	probes    daemon.Probes // of blocked cells

	priorities  priorities
	schedulings map[string]*nodev1.Scheduling // of RuntimeClasses, by name
}

func New(kinds Kinds, nonce string) *Model {
	return &Model{
		kinds: kinds, nonce: nonce,
		nodes:     map[string]*corev1.Node{},
		facts:     map[string]*daemon.NodeFacts{},
		nodeNames: newKeys(strings.Compare),
		daemons:   map[daemon.WorkloadKey]*tracked{},
		owners:    newKeys(compareKeys),
		pods:      map[types.UID]*Pod{},
		claims:    newClaims(),
		awaited:   map[types.NamespacedName]daemon.CellKey{},
		records:   newRecords(),
		index:     newIndex(),

		priorities:  priorities{byClass: map[string]int32{}},
		schedulings: map[string]*nodev1.Scheduling{},
	}
}

// tracked is one daemon with its cells. Pods may be seen before their DaemonSet and stay after it: workload is then
// nil, and nothing is planned.
type tracked struct {
	workload       *daemon.Workload
	formerName     string               // the daemon's name while workload is nil
	template       *daemon.Template     // read only; of workload's generation
	id             daemon.TemplateID    // of template
	judging        *judgeNodes          // the nodes are being looked at again: nothing is planned meanwhile
	judgedBy       *daemon.Rules        // that the nodes were judged by last; nil when some are no longer those
	counting       *pass                // the cells are being counted again: likewise
	resolution                          // of template
	update         string               // the revision that cells are to have: template's once it is settled; empty while there is none
	templates      map[string]*rendered // by revision: those that some cell has as its target, or some pod has
	readBack       bool                 // update was looked for in the records
	notRecorded    *daemon.Problem      // why template is not settled, if the API server refused its record
	selector       labels.Selector      // cannot change
	rules          *daemon.Rules        // of template
	templateRules  *daemon.Rules        // without those of its RuntimeClass
	runtimeClasses []string             // that the daemon is found by: those of template and templates, sorted
	cells          daemon.Cells
	obstacles      obstacles       // of the cells whose pod is not made
	refusal        *refusal        // of its pods; nil when the last one was taken
	priority       int32           // of its pods
	gone           bool            // the API server says so; the watch does not yet
	unserved       *daemon.Problem // why nothing is done for it; what is above is then of an earlier state, if of any
}

// active says whether the daemon is there, can be served, and is not being deleted. A daemon that is
// being deleted keeps its pods as they are: the garbage collector, or whoever asked for orphans, decides
// about them.
func (t *tracked) active() bool {
	return t != nil && t.workload != nil && !t.workload.Terminating && t.unserved == nil && !t.gone
}

// keptUp says whether anything is planned for the daemon.
func (t *tracked) keptUp() bool { return t.counted() && t.update != "" }

// counted reports whether the daemon's sums are those of its present targets.
func (t *tracked) counted() bool {
	return t.active() && !t.merging && t.judging == nil && t.counting == nil
}

// name returns the daemon's name; while there is no DaemonSet, the one that it had, or that its pods give.
func (t *tracked) name() string {
	if t.workload != nil {
		return t.workload.Name
	}
	return t.formerName
}

// calledAs is what a template is called that may not be known.
func calledAs(template *daemon.Template) string {
	if template == nil {
		return ""
	}
	return template.Revision
}

// Begin lets work go on, once everything there is was seen: a cell that is planned before its pods
// were seen asks for one, a rollout that does not know of every pod would take what its limits do
// not allow, and what a template is called is in its record.
func (u Update) Begin() {
	u.begun = true
	u.later(&eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		if known.active() && known.judging == nil && !known.settled {
			u.resolveRevision(key, known, true)
		}
	}})
}

// Replan has every cell planned again: what kept pods from being made is over.
func (u Update) Replan() {
	u.later(&eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		if known.keptUp() {
			u.planAll(key, known)
		}
	}})
}

// SeePod takes a pod as it is now. It may have changed its owner or its node since it was last
// seen, so that it leaves the cell it was in.
func (u Update) SeePod(pod *Pod) {
	u.place(pod)
	u.noteOrphan(pod)
	if pod.orphanOn() != "" {
		u.later(&findOwner{pod: pod})
	}
}

// place puts a pod into its cell and takes it out of the one it was in. A pod that its daemon has
// to let go is in none.
func (u Update) place(pod *Pod) {
	_, due := u.claims.cellOf[pod.UID]
	u.dropClaims(pod.UID)
	cell, ours := pod.Cell(), pod.ours
	stray := ours && u.track(cell.Workload()).noLongerSelected(pod)
	old, had := u.pods[pod.UID]
	switch {
	case stray && had && old.Cell() == cell:
		u.takeOut(old, (*daemon.Cells).ReleasePod)
	case had && (!ours || stray || old.Cell() != cell):
		u.removePod(old)
	case stray && !due:
		u.track(cell.Workload()).cells.ReleasePod(cell.Node, pod.UID, u.now)
	}
	switch {
	case stray:
		u.claims.add(cell, Claim{Pod: pod})
		u.changed(cell)
	case ours:
		u.pods[pod.UID] = pod
		known := u.track(cell.Workload())
		if known.workload == nil {
			known.formerName = pod.family.Value().daemon
		}
		known.cells.SetPod(cell.Node, &pod.Pod, u.now)
		u.judgePlacement(cell, known)
		if had && old.Revision != pod.Revision {
			u.lost(cell.Workload(), known, old.Revision)
		}
		u.misnamed(cell.Workload(), known, pod.Revision)
		u.podChanged(cell)
		u.noteFormer(cell, known, pod)
	}
}

// judgePlacement looks whether the pod that waits for a cell's node can ever run there. It may be another one than before
// whenever a pod of the cell has come, changed or gone.
func (u Update) judgePlacement(cell daemon.CellKey, known *tracked) {
	if node := u.nodes[cell.Node]; node != nil {
		known.cells.JudgePlacement(node, u.now)
	}
}

// lost looks whether a daemon's last pod of a revision is gone, or is called otherwise now.
func (u Update) lost(key daemon.WorkloadKey, known *tracked, revision string) {
	if known.cells.Holds(revision) {
		return
	}
	u.enqueueHistory(key)
	if known.active() && known.merging && known.judging == nil {
		u.resolveRevision(key, known, false)
	}
}

// dropClaims forgets what was due of a pod, and has the cell planned that waited for it.
func (u Update) dropClaims(pod types.UID) {
	if cell, was := u.claims.drop(pod); was {
		u.changed(cell)
	}
}

// ForgetPod takes a pod out of the cell it was in, whatever it looked like in the end.
func (u Update) ForgetPod(pod *Pod) {
	u.dropClaims(pod.UID)
	drop(u.claims.orphans, pod.GetNamespace(), pod.UID)
	u.nameIsFree(pod)
	if old, had := u.pods[pod.UID]; had {
		u.removePod(old)
	}
}

func (u Update) removePod(pod *Pod) { u.takeOut(pod, (*daemon.Cells).RemovePod) }

// takeOut takes a pod out of its cell, in one of two ways.
func (u Update) takeOut(pod *Pod, remove func(*daemon.Cells, string, types.UID, time.Time)) {
	delete(u.pods, pod.UID)
	cell := pod.Cell()
	known := u.daemons[cell.Workload()]
	remove(&known.cells, cell.Node, pod.UID, u.now)
	u.judgePlacement(cell, known)
	u.index.noFormer(pod.UID)
	u.lost(cell.Workload(), known, pod.Revision)
	u.podChanged(cell)
	if known.workload == nil {
		u.follow(cell, known)
	}
	u.forgetEmpty(cell.Workload())
}

// changed triggers a cell, reports its daemon, and lets the daemon's rollout go on.
func (u Update) changed(cell daemon.CellKey) {
	key := cell.Workload()
	known := u.daemons[key]
	if known != nil && u.begun {
		u.plan(cell, known.priority)
	}
	u.noteProbe(cell, known)
	u.Report(key)
	u.goOn(key, known)
}

// podChanged is changed after an event of a pod, and triggers the cell only if there is work to do: a pod that is replaced
// has about seven events, and most of them leave none.
func (u Update) podChanged(cell daemon.CellKey) {
	key := cell.Workload()
	if known := u.daemons[key]; known != nil && !u.due(cell, known) {
		u.noteProbe(cell, known)
		u.Report(key)
		u.goOn(key, known)
		return
	}
	u.changed(cell)
}

// due reports whether there is work to do for a cell. Whoever works on it also forgets what kept its pod from being made,
// which a node that is gone, or a daemon that is not kept up, ends as well.
func (u Update) due(cell daemon.CellKey, known *tracked) bool {
	if known.obstacles.on(cell.Node) != nil || !known.keptUp() || u.nodes[cell.Node] == nil || len(u.claims.byCell[cell]) > 0 {
		return true
	}
	plan := known.cells.Plan(cell.Node, u.now)
	return len(plan.Actions) > 0 || len(plan.Doubts) > 0 || !plan.WakeAt.IsZero()
}

func (u Update) track(key daemon.WorkloadKey) *tracked {
	known, ok := u.daemons[key]
	if !ok {
		known = &tracked{}
		known.cells.Facts = u.factsOf
		u.daemons[key] = known
		u.owners.ReplaceOrInsert(key)
	}
	return known
}

// forgetEmpty drops a daemon that is gone and has no pods any more.
func (u Update) forgetEmpty(key daemon.WorkloadKey) {
	if known := u.daemons[key]; known != nil && known.workload == nil && known.cells.Len() == 0 {
		delete(u.daemons, key)
		u.owners.Delete(key)
	}
}

// Task is a plan with what it takes to act on it; all of it is read only.
type Task struct {
	daemon.Plan
	Claims   []Claim // due first: they change what there is to plan
	Workload *daemon.Workload
	Template *daemon.Template
	Selector labels.Selector
	Node     *corev1.Node // nil when the node is gone
	Names    []string     // of the pod to make, and to try when somebody else's pod has the first
	Former   string       // a pod of a former daemon of the same name that is there
}

// Task plans a cell now; it is empty when there is nothing to keep up.
func (u Update) Task(cell daemon.CellKey) Task {
	known := u.daemons[cell.Workload()]
	if !known.keptUp() {
		return Task{}
	}
	before := known.cells.Counters()
	plan := known.cells.Plan(cell.Node, u.now)
	if known.cells.Counters() != before { // a pod became available by waiting
		u.Report(cell.Workload())
		u.goOn(cell.Workload(), known)
	}
	task := Task{Plan: plan, Workload: known.workload, Template: known.templateOf(&plan, cell.Node), Selector: known.selector, Node: u.nodes[cell.Node], Claims: u.claims.of(cell)}
	if len(plan.Actions) > 0 {
		task.Names = u.names(known, cell.Node)
		task.Former = u.former(cell, known)
	}
	return task
}

// names are those that a daemon's new pod on a node may get. Where no pod is known that it comes after there may have been
// one before this process began, or before the node was created again.
func (u Update) names(known *tracked, node string) []string {
	after := known.cells.After(node)
	if after == "" {
		after = u.nonce
		if object := u.nodes[node]; object != nil {
			after += "/" + string(object.UID)
		}
	}
	return known.template.PodNames(node, after)
}

// Deleted notes that the API server took a delete of a pod: rollouts count on it before the watch
// tells.
func (u Update) Deleted(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Deleted(cell.Node, pod, u.now)
		u.judgePlacement(cell, known)
		u.goOn(cell.Workload(), known)
	}
}

// Replaced notes that a finished pod was removed, so that the next one of its cell waits longer.
func (u Update) Replaced(cell daemon.CellKey) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Replaced(cell.Node, u.now)
	}
}

// Active collects all daemons that are kept up.
func Active(workloads *[]*daemon.Workload) Work {
	return &eachDaemon{f: func(_ Update, _ daemon.WorkloadKey, known *tracked) {
		if known.active() {
			*workloads = append(*workloads, known.workload)
		}
	}}
}

// Size is how much is known: how many nodes, daemons, pods and ControllerRevisions, and whatever is due, awaited
// or remembered of one of them. It is 0 once all of them are gone.
func (m *Model) Size() int {
	size := len(m.nodes) + m.nodeNames.Len() + len(m.daemons) + m.owners.Len() + len(m.pods)
	size += len(m.claims.byCell) + len(m.claims.cellOf) + m.claims.cells.Len() + len(m.claims.orphans)
	size += len(m.awaited) + len(m.records.known) + len(m.records.held)
	return size + m.index.daemons.Len() + m.index.refused.Len() + len(m.index.byName) + len(m.index.byNamespace) + len(m.index.former) + len(m.index.placeOf) +
		m.probes.Len() + len(m.index.byRuntimeClass)
}
