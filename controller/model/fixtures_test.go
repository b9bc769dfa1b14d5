package model

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// What is made for tests, see internal/fixture.
var (
	t0          = fixture.T0
	makeDaemon  = fixture.Daemon
	makeNode    = fixture.Node
	makePod     = fixture.Pod
	workloadOf  = fixture.Workload
	keyOf       = fixture.Key
	firstNames  = fixture.FirstNames
	generation  = fixture.Generation
	onlyWhere   = fixture.OnlyWhere
	deleting    = fixture.Deleting
	image       = fixture.Image
	replacing   = fixture.Replacing
	nativeKind  = fixture.NativeKind
	ofClass     = fixture.OfClass
	class       = fixture.Class
	labelled    = fixture.Labelled
	incarnation = fixture.Incarnation
	podUID      = fixture.PodUID
	bound       = fixture.Bound
	terminating = fixture.Terminating
	ready       = fixture.Ready
	orphaned    = fixture.Orphaned
	relabelled  = fixture.Relabelled
	wantStrings = fixture.WantStrings
)

type clock = fixture.Clock

// queues remember what a model asked for since they were last emptied.
type queues struct {
	plans   []daemon.CellKey
	looks   []daemon.WorkloadKey     // at histories
	ranks   map[daemon.CellKey]int32 // the priority that a cell was asked for with last
	reports []types.UID
}

// looked gives the UIDs of the daemons whose history was to be looked at, each once and sorted.
func (q *queues) looked() []string {
	var uids []string
	for _, key := range q.looks {
		uids = append(uids, string(key.UID))
	}
	q.looks = nil
	slices.Sort(uids)
	return slices.Compact(uids)
}

// drain gives what was asked for, each once and sorted, as a work queue would.
func (q *queues) drain() (plans []string, reports []types.UID) {
	for _, key := range q.plans {
		plans = append(plans, fmt.Sprintf("%s on %s", key.Owner, key.Node))
	}
	slices.Sort(plans)
	reports = slices.Clone(q.reports)
	slices.Sort(reports)
	q.plans, q.reports = nil, nil
	return slices.Compact(plans), slices.Compact(reports)
}

// everynodeOnly are the kinds of most tests.
var everynodeOnly = Kinds{Everynode: true}

// world is a model with what a shell does for it: it enqueues what an update wakes, and does work to its end.
type world struct {
	*Model
	now    func() time.Time
	queues *queues     // nil: nobody listens
	ended  func(*Wake) // after each update, when it is set
}

func newWorld(now func() time.Time, q *queues) *world {
	if q != nil {
		q.ranks = map[daemon.CellKey]int32{}
	}
	return &world{Model: New(everynodeOnly, ""), now: now, queues: q}
}

func newTestWorld() (*world, *queues, *clock) {
	q, c := &queues{}, &clock{Time: t0}
	w := newWorld(c.Now, q)
	w.begin()
	return w, q, c
}

// update is one hold of the lock.
func (w *world) update(observe func(Update)) {
	var wake Wake
	observe(w.Update(w.now(), &wake))
	if w.ended != nil {
		w.ended(&wake)
	}
	if q := w.queues; q != nil {
		for _, cell := range wake.Cells {
			q.plans = append(q.plans, cell.Key)
			q.ranks[cell.Key] = cell.Priority
		}
		for _, key := range wake.Statuses {
			q.reports = append(q.reports, key.UID)
		}
		q.looks = append(q.looks, wake.Histories...)
	}
	for _, work := range wake.Work {
		w.run(work)
	}
}

func (w *world) run(work Work) {
	for more := true; more; {
		w.update(func(u Update) { more = work.Step(u) })
		if more {
			work.Compute()
		}
	}
}

func (w *world) begin()                      { w.update(Update.Begin) }
func (w *world) replan()                     { w.update(Update.Replan) }
func (w *world) wake(cells []daemon.CellKey) { w.run(&WakeCells{Cells: cells}) }
func (w *world) podIs(pod *Pod)              { w.update(func(u Update) { u.SeePod(pod) }) }
func (w *world) podSeen(pod *corev1.Pod)     { w.podIs(everynodeOnly.ObservePod(pod)) }
func (w *world) podGone(pod *corev1.Pod) {
	w.update(func(u Update) { u.ForgetPod(everynodeOnly.ObservePod(pod)) })
}
func (w *world) nodeSeen(node *corev1.Node) { w.run(&SeeNode{Node: node}) }
func (w *world) nodeGone(name string)       { w.run(&ForgetNode{Name: name}) }

func (w *world) daemonSeen(set *v1alpha1.DaemonSet, wrong error) error {
	workload := workloadOf(set)
	workload.Undecodable = wrong
	work := &SeeDaemon{Workload: workload}
	w.run(work)
	return work.News
}

// seen takes a daemon, and the record of its template, which a controller stores at once.
func (w *world) seen(set *v1alpha1.DaemonSet) error {
	if err := w.daemonSeen(set, nil); err != nil || set.DeletionTimestamp != nil {
		return err
	}
	if subject, ok := w.subject(keyOf(set)); ok && !subject.settled {
		w.revisionSeen(fixture.Record(set))
	}
	return nil
}

func (w *world) daemonGone(key daemon.WorkloadKey) { w.update(func(u Update) { u.ForgetDaemon(key) }) }
func (w *world) recordsChanged(key daemon.WorkloadKey) {
	w.update(func(u Update) { u.RecordsChanged(key) })
}
func (w *world) revisionSeen(object *appsv1.ControllerRevision) {
	w.run(&SeeRevision{Object: object})
}
func (w *world) classSeen(class *schedulingv1.PriorityClass) {
	w.update(func(u Update) { u.SeeClass(class) })
}
func (w *world) runtimeClassSeen(class *nodev1.RuntimeClass) {
	w.update(func(u Update) { u.SeeRuntimeClass(class) })
}
func (w *world) classGone(name string) { w.update(func(u Update) { u.ForgetClass(name) }) }

func (w *world) trouble(cell daemon.CellKey, problem daemon.Problem) {
	w.update(func(u Update) { u.SetProblem(cell, problem, problem.Reason == nameTaken) })
}

// nameTaken is the reason of a problem that ends when a name is free.
const nameTaken = "PodNameTaken"

func (w *world) task(cell daemon.CellKey) (task Task) {
	w.update(func(u Update) { task = u.Task(cell) })
	return task
}

func (w *world) subject(key daemon.WorkloadKey) (subject Subject, ok bool) {
	w.update(func(u Update) { subject, ok = u.Subject(key) })
	return subject, ok
}

func (w *world) health(key daemon.WorkloadKey) (*daemon.Workload, daemon.Health) {
	work := &HealthOf{Key: key}
	w.run(work)
	return work.Workload, work.Health
}

func (w *world) unserved(key daemon.WorkloadKey) (workload *daemon.Workload, problem daemon.Problem) {
	w.update(func(u Update) { workload, problem = u.Unserved(key) })
	return workload, problem
}

func (w *world) inUse(key daemon.WorkloadKey, revision string) (uses bool) {
	w.update(func(u Update) { uses = u.InUse(key, revision) })
	return uses
}

func (w *world) audit(key daemon.WorkloadKey) (wrong []string) {
	w.update(func(u Update) { u.Audit(key, &wrong) })
	return wrong
}

// objects are all daemons that are kept up, sorted by name.
func (w *world) objects() (workloads []*daemon.Workload) {
	w.run(Active(&workloads))
	slices.SortFunc(workloads, func(a, b *daemon.Workload) int { return cmp.Compare(a.Name, b.Name) })
	return workloads
}

func countersOf(w *world, key daemon.WorkloadKey) (*daemon.Workload, daemon.Counters) {
	object, health := w.health(key)
	return object, health.Counters
}
