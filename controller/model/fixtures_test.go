package model

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// What is made for tests, see controller/fixture.
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

// everynodeOnly are the kinds of most tests.
var everynodeOnly = Kinds{Everynode: true}

// state is a model with what package state adds to it: it enqueues what an update wakes, and does work to its end.
type state struct {
	*Model
	now    func() time.Time
	queues *fixture.Queues // nil: nothing is recorded
	ended  func(*Wake)     // after each update, when it is set
	wakes  []*Wake         // to use again
}

func newState(now func() time.Time, q *fixture.Queues) *state {
	return &state{Model: New(everynodeOnly, ""), now: now, queues: q}
}

func newTestState() (*state, *fixture.Queues, *clock) {
	q, c := &fixture.Queues{}, &clock{Time: t0}
	s := newState(c.Now, q)
	s.begin()
	return s, q, c
}

// update is one hold of the lock.
func (s *state) update(observe func(Update)) {
	wake := &Wake{}
	if last := len(s.wakes) - 1; last >= 0 {
		wake, s.wakes = s.wakes[last], s.wakes[:last]
	}
	observe(s.Update(s.now(), wake))
	if s.ended != nil {
		s.ended(wake)
	}
	if q := s.queues; q != nil {
		for _, cell := range wake.Cells {
			q.Cell(cell.Key, cell.Priority)
		}
		for _, key := range wake.Statuses {
			q.Status(key.UID)
		}
		for _, key := range wake.Histories {
			q.History(key.UID)
		}
	}
	for _, work := range wake.Work {
		s.run(work)
	}
	wake.Reset()
	s.wakes = append(s.wakes, wake)
}

func (s *state) run(work Work) {
	for more := true; more; {
		s.update(func(u Update) { more = work.Step(u) })
		if more {
			work.Compute()
		}
	}
}

func (s *state) begin()                      { s.update(Update.Begin) }
func (s *state) replan()                     { s.update(Update.Replan) }
func (s *state) wake(cells []daemon.CellKey) { s.run(&WakeCells{Cells: cells}) }
func (s *state) observePod(pod *Pod)         { s.update(func(u Update) { u.SeePod(pod) }) }
func (s *state) seePod(pod *corev1.Pod)      { s.observePod(everynodeOnly.ObservePod(pod)) }
func (s *state) forgetPod(pod *corev1.Pod) {
	s.update(func(u Update) { u.ForgetPod(everynodeOnly.ObservePod(pod)) })
}
func (s *state) seeNode(node *corev1.Node) { s.run(&SeeNode{Node: node}) }
func (s *state) forgetNode(name string)    { s.run(&ForgetNode{Name: name}) }

func (s *state) seeDaemon(set *v1alpha1.DaemonSet, wrong error) error {
	workload := workloadOf(set)
	workload.Undecodable = wrong
	work := &SeeDaemon{Workload: workload}
	s.run(work)
	return work.News
}

// seeRecorded takes a daemon, and the record of its template, which a controller stores at once.
func (s *state) seeRecorded(set *v1alpha1.DaemonSet) error {
	if err := s.seeDaemon(set, nil); err != nil || set.DeletionTimestamp != nil {
		return err
	}
	if subject, ok := s.subject(keyOf(set)); ok && !subject.settled {
		s.seeRevision(fixture.Record(set))
	}
	return nil
}

func (s *state) forgetDaemon(key daemon.WorkloadKey) {
	s.update(func(u Update) { u.ForgetDaemon(key) })
}
func (s *state) recordsChanged(key daemon.WorkloadKey) {
	s.update(func(u Update) { u.RecordsChanged(key) })
}
func (s *state) seeRevision(object *appsv1.ControllerRevision) {
	s.run(&SeeRevision{Object: object})
}
func (s *state) seeClass(class *schedulingv1.PriorityClass) {
	s.update(func(u Update) { u.SeeClass(class) })
}
func (s *state) seeRuntimeClass(class *nodev1.RuntimeClass) {
	s.update(func(u Update) { u.SeeRuntimeClass(class) })
}
func (s *state) forgetClass(name string) { s.update(func(u Update) { u.ForgetClass(name) }) }

func (s *state) setProblem(cell daemon.CellKey, problem daemon.Problem) {
	s.update(func(u Update) { u.SetProblem(cell, problem, problem.Reason == nameTaken) })
}

// nameTaken is the reason of a problem that ends when a name is free.
const nameTaken = "PodNameTaken"

func (s *state) task(cell daemon.CellKey) (task Task) {
	s.update(func(u Update) { task = u.Task(cell) })
	return task
}

func (s *state) subject(key daemon.WorkloadKey) (subject Subject, ok bool) {
	s.update(func(u Update) { subject, ok = u.Subject(key) })
	return subject, ok
}

func (s *state) health(key daemon.WorkloadKey) (*daemon.Workload, daemon.Health) {
	work := &HealthOf{Key: key}
	s.run(work)
	return work.Workload, work.Health
}

func (s *state) unserved(key daemon.WorkloadKey) (workload *daemon.Workload, problem daemon.Problem) {
	s.update(func(u Update) { workload, problem = u.Unserved(key) })
	return workload, problem
}

func (s *state) inUse(key daemon.WorkloadKey, revision string) (uses bool) {
	s.update(func(u Update) { uses = u.InUse(key, revision) })
	return uses
}

func (s *state) audit(key daemon.WorkloadKey) (wrong []string) {
	s.update(func(u Update) { u.Audit(key, &wrong) })
	return wrong
}

// objects are all daemons that are kept up, sorted by name.
func (s *state) objects() (workloads []*daemon.Workload) {
	s.run(Active(&workloads))
	slices.SortFunc(workloads, func(a, b *daemon.Workload) int { return cmp.Compare(a.Name, b.Name) })
	return workloads
}

func countersOf(s *state, key daemon.WorkloadKey) (*daemon.Workload, daemon.Counters) {
	object, health := s.health(key)
	return object, health.Counters
}
