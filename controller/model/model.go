package model

import (
	"cmp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// Model is what is known of the cluster: every node, every daemon with its cells, what is due for each cell, and what
// it waits for. The model has no lock and does nothing by itself: an Update applies an observation and collects what it
// wakes.
type Model struct {
	kinds Kinds
	// nonce is part of the names of pods without a known predecessor. No two processes share it.
	nonce string
	begun bool         // everything that exists was observed: work may begin
	stop  *daemon.Stop // the cells of all daemons read it

	nodes     map[string]*corev1.Node
	facts     map[string]*daemon.NodeFacts // of nodes, if a policy reads their status
	nodeNames keys[string]
	daemons   map[daemon.WorkloadKey]*tracked
	owners    keys[daemon.WorkloadKey] // of daemons
	pods      map[types.UID]*Pod       // those in a cell, in their last observed state
	claims    claims
	awaited   map[types.NamespacedName]daemon.CellKey // cells, by the names that their obstacles wait for
	records   records
	index     index
	departed  departed
	probes    daemon.Probes // of blocked cells

	priorities  priorities
	schedulings map[string]*nodev1.Scheduling // of RuntimeClasses, by name
}

func New(kinds Kinds, nonce string) *Model {
	return &Model{
		kinds: kinds, nonce: nonce,
		stop:      &daemon.Stop{},
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
	judging        *judgeNodes          // the pass that judges the nodes again; nothing is planned in the meantime
	judgedBy       *daemon.Rules        // the rules that all nodes were judged by last; nil if some were judged by others
	counting       *pass                // the pass that counts the cells again; likewise
	resolution                          // of template
	update         string               // the revision that cells should have: that of template once it is settled; empty while there is none
	templates      map[string]*rendered // by revision: those that are a target, or that a pod has
	hold           *daemon.Hold         // what the rollout holds back; nil without a rollout
	unreadable     string               // the stable revision, if its template could not be read back
	waves          waves                // of that rollout
	proven         bool                 // the update revision is to be recorded as stable
	admitting      bool                 // nodes are being admitted to the update revision
	readBack       bool                 // the records were searched for update
	met            daemon.Record        // the last one that was met at the API server: its name and number
	notRecorded    *daemon.Problem      // why template is not settled, if the API server refused its record
	selector       labels.Selector      // cannot change
	rules          *daemon.Rules        // of template
	templateRules  *daemon.Rules        // without the scheduling of its RuntimeClass
	runtimeClasses []string             // those of template and templates, sorted; the index has the daemon under each
	cells          daemon.Cells
	reported       daemon.Counters // at the last check of the status that they caused
	obstacles      obstacles       // of the cells whose pod cannot be created
	refusal        *refusal        // of its pods; nil if the last one was accepted
	priority       int32           // of its pods
	gone           bool            // at the API server; the watch does not show it yet
	deleted        bool            // workload is nil because the DaemonSet was deleted, not because it was not seen yet
	unserved       *daemon.Problem // why it is not served; what is above then belongs to an earlier state, if any
}

// active reports whether the daemon exists, can be served, and is not being deleted. The pods of a daemon that is being
// deleted are left alone: the garbage collector deletes or orphans them.
func (t *tracked) active() bool {
	return t != nil && t.workload != nil && !t.workload.Terminating && t.unserved == nil && !t.gone
}

// keptUp reports whether the cells of the daemon are planned.
func (t *tracked) keptUp() bool { return t.counted() && t.update != "" }

// counted reports whether the daemon's counters agree with its present targets.
func (t *tracked) counted() bool {
	return t.active() && !t.merging && !t.loading && t.judging == nil && t.counting == nil
}

// name returns the daemon's name; while there is no DaemonSet, the one that it had, or that its pods give.
func (t *tracked) name() string {
	if t.workload != nil {
		return t.workload.Name
	}
	return t.formerName
}

// calledAs returns the revision of a template that may be nil.
func calledAs(template *daemon.Template) string {
	if template == nil {
		return ""
	}
	return template.Revision
}

// Begin lets work begin once everything that exists was observed. Before that, a cell whose pods were not observed yet
// would get another one, a rollout that does not know every pod would exceed its limits, and the revision of a template
// is only known from its record.
func (u Update) Begin() {
	u.begun = true
	u.later(&endStart{})
	u.later(&eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		if known.active() && known.judging == nil && !known.settled {
			u.resolveRevision(key, known, true)
		}
	}})
}

// Replan plans every cell again: what prevented pods from being created is over.
func (u Update) Replan() {
	u.later(&eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		if known.keptUp() {
			u.planAll(key, known)
		}
	}})
}

// SeePod applies the present state of a pod. If its owner or its node has changed, it moves to another cell.
func (u Update) SeePod(pod *Pod) {
	u.place(pod)
	u.noteOrphan(pod)
	if pod.orphanOn() != "" {
		u.later(&findOwner{pod: pod})
	}
}

// place puts a pod into its cell, and removes it from its former one. A pod that its daemon has to release is in no
// cell.
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
		u.departed.drop(cell)
		known := u.track(cell.Workload())
		if known.workload == nil {
			known.formerName = pod.family.Value().daemon
		}
		fresh := !known.cells.Holds(pod.Revision)
		u.setPod(cell, known, pod)
		if fresh && known.keptUp() && known.templates[pod.Revision] == nil {
			u.readHeldBack(cell.Workload(), known)
		}
		u.judgePlacement(cell, known)
		if had && old.Revision != pod.Revision {
			u.lost(cell.Workload(), known, old.Revision)
		}
		u.misnamed(cell.Workload(), known, pod.Revision)
		u.podChanged(cell)
		u.noteFormer(cell, known, pod)
	}
}

// judgePlacement decides again whether the pod that waits for a cell's node can ever run there. Which pod waits may
// change with every pod event of the cell.
func (u Update) judgePlacement(cell daemon.CellKey, known *tracked) (changed bool) {
	node := u.nodes[cell.Node]
	return node != nil && known.cells.JudgePlacement(node, known.templateRulesOf, u.now)
}

// lost checks whether a daemon has pods of a revision left, after one was removed or relabelled.
func (u Update) lost(key daemon.WorkloadKey, known *tracked, revision string) {
	if known.cells.Holds(revision) {
		return
	}
	u.enqueueHistory(key)
	if known.active() && known.merging && known.judging == nil {
		u.resolveRevision(key, known, false)
	}
}

// dropClaims drops the claim on a pod, and plans the cell that waited for it.
func (u Update) dropClaims(pod types.UID) {
	if cell, was := u.claims.drop(pod); was {
		u.changed(cell)
	}
}

// ForgetPod removes a pod from its cell, whatever its last state was.
func (u Update) ForgetPod(pod *Pod) {
	u.dropClaims(pod.UID)
	drop(u.claims.orphans, pod.GetNamespace(), pod.UID)
	u.nameIsFree(pod)
	if old, had := u.pods[pod.UID]; had {
		u.removePod(old)
	}
}

func (u Update) removePod(pod *Pod) { u.takeOut(pod, (*daemon.Cells).RemovePod) }

// takeOut removes a pod from its cell, by RemovePod or by ReleasePod.
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

// changed plans a cell, reports its daemon, and continues the daemon's rollout.
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

// podChanged is changed for the event of a pod: it plans the cell only if there is work to do. Replacing a pod causes about
// seven events, most of which need none.
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

// due reports whether there is work to do for a cell. A cell with an obstacle is always due: processing it removes the
// obstacle, also if the node is gone or the daemon is not kept up.
func (u Update) due(cell daemon.CellKey, known *tracked) bool {
	if known.obstacles.on(cell.Node) != nil || !known.keptUp() || u.nodes[cell.Node] == nil || len(u.claims.byCell[cell]) > 0 {
		return true
	}
	plan := known.cells.Plan(cell.Node, u.now)
	return len(plan.Actions) > 0 || plan.Asks() || !plan.WakeAt.IsZero()
}

func (u Update) track(key daemon.WorkloadKey) *tracked {
	known, ok := u.daemons[key]
	if !ok {
		known = &tracked{}
		known.cells.Facts, known.cells.Stop, known.cells.Starting = u.factsOf, u.stop, !u.begun
		known.cells.Forgotten = func(node, after string) {
			if !known.deleted {
				u.departed.add(key.On(node), after)
			}
		}
		u.daemons[key] = known
		u.owners.ReplaceOrInsert(key)
	}
	return known
}

// forgetEmpty removes a deleted daemon that has no pods left.
func (u Update) forgetEmpty(key daemon.WorkloadKey) {
	if known := u.daemons[key]; known != nil && known.workload == nil && known.cells.Len() == 0 {
		delete(u.daemons, key)
		u.owners.Delete(key)
	}
}

// Task is the plan of a cell with everything needed to execute it. It is read-only.
type Task struct {
	daemon.Plan
	Claims   []Claim // they come first, because they change the plan
	Workload *daemon.Workload
	Template *daemon.Template
	Selector labels.Selector
	Node     *corev1.Node // nil if the node is gone
	Names    []string     // of the pod to create: the first one, and an alternative if another owner's pod has that
	Former   string       // the name of an existing pod of a deleted daemon of the same name
}

// Task plans a cell. The task is empty if the daemon is not kept up.
func (u Update) Task(cell daemon.CellKey) Task {
	known := u.daemons[cell.Workload()]
	if !known.keptUp() {
		return Task{}
	}
	before := known.cells.Counters()
	plan := known.cells.Plan(cell.Node, u.now)
	if known.cells.Counters() != before { // a pod became available as time passed
		u.Report(cell.Workload())
		u.goOn(cell.Workload(), known)
	}
	task := Task{Plan: plan, Workload: known.workload, Template: known.templateOf(&plan, cell.Node), Selector: known.selector, Node: u.nodes[cell.Node], Claims: u.claims.of(cell)}
	if len(plan.Actions) > 0 || plan.Missed {
		task.Names = u.names(known, cell)
		task.Former = u.former(cell, known)
	}
	return task
}

// names returns the names that a daemon's new pod on a node may get. Without a known predecessor they cover the nonce and
// the node's UID, because there may have been a pod before this process began, or before the node was recreated.
func (u Update) names(known *tracked, cell daemon.CellKey) []string {
	after := cmp.Or(known.cells.After(cell.Node), u.departed.after(cell))
	if after == "" {
		after = u.nonce
		if object := u.nodes[cell.Node]; object != nil {
			after += "/" + string(object.UID)
		}
	}
	return known.template.PodNames(cell.Node, after)
}

// Deleted records that the API server accepted the deletion of a pod: rollouts count it before the watch shows it.
func (u Update) Deleted(cell daemon.CellKey, pod types.UID) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Deleted(cell.Node, pod, u.now)
		u.judgePlacement(cell, known)
		u.goOn(cell.Workload(), known)
	}
}

// Replaced records that a finished pod was removed: the next one of its cell backs off longer.
func (u Update) Replaced(cell daemon.CellKey) {
	if known, ok := u.daemons[cell.Workload()]; ok {
		known.cells.Replaced(cell.Node, u.now)
	}
}

// Active collects all active daemons.
func Active(workloads *[]*daemon.Workload) Work {
	return &eachDaemon{f: func(_ Update, _ daemon.WorkloadKey, known *tracked) {
		if known.active() {
			*workloads = append(*workloads, known.workload)
		}
	}}
}

// Size is the number of nodes, daemons, pods and ControllerRevisions, and of everything that is kept about them. It is 0
// once all of them are gone.
func (m *Model) Size() int {
	size := len(m.nodes) + m.nodeNames.Len() + len(m.daemons) + m.owners.Len() + len(m.pods)
	size += len(m.claims.byCell) + len(m.claims.cellOf) + m.claims.cells.Len() + len(m.claims.orphans)
	size += len(m.awaited) + len(m.records.known) + len(m.records.held)
	return size + m.index.daemons.Len() + m.index.refused.Len() + len(m.index.byName) + len(m.index.byNamespace) + len(m.index.former) + len(m.index.placeOf) +
		m.probes.Len() + len(m.index.byRuntimeClass)
}
