package engine

import (
	"cmp"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// state is the model with its lock. It enqueues what an observation wakes after it has released the lock, and
// does what concerns many cells batch by batch. It is safe for concurrent use.
type state struct {
	now    func() time.Time
	queues enqueuers
	mu     hold
	model  *model.Model
	wakes  sync.Pool
}

// enqueuers add to the queues. They are called while the model is not locked.
type enqueuers struct {
	cell    func(cell daemon.CellKey, priority int32)
	status  func(model.DaemonKey)
	history func(model.DaemonKey)
}

// hold is the model's lock. A test looks at what was done while it was locked.
type hold struct {
	sync.Mutex
	ended func(*model.Wake)
}

// newState is a state in which nothing was seen; nonce is in the names of pods that come after none that is known.
func newState(kinds model.Kinds, nonce string, now func() time.Time, queues enqueuers) *state {
	return &state{now: now, queues: queues, model: model.New(kinds, nonce), wakes: sync.Pool{New: func() any { return &model.Wake{} }}}
}

// update has the model take an observation, and does what that asks for.
func (s *state) update(observe func(model.Update)) { s.deliver(s.locked(observe)) }

func (s *state) locked(observe func(model.Update)) *model.Wake {
	s.mu.Lock()
	defer s.mu.Unlock()
	wake := s.wakes.Get().(*model.Wake)
	observe(s.model.Update(s.now(), wake))
	if s.mu.ended != nil {
		s.mu.ended(wake)
	}
	return wake
}

func (s *state) deliver(wake *model.Wake) {
	for _, cell := range wake.Cells {
		s.queues.cell(cell.Key, cell.Priority)
	}
	for _, key := range wake.Statuses {
		s.queues.status(key)
	}
	for _, key := range wake.Histories {
		s.queues.history(key)
	}
	for _, work := range wake.Work {
		s.run(work)
	}
	wake.Reset()
	s.wakes.Put(wake)
}

// run does work to its end. The model is not locked between two steps.
func (s *state) run(work model.Work) {
	for more := true; more; {
		s.update(func(u model.Update) { more = work.Step(u) })
		if more {
			work.Compute()
		}
	}
}

// What was observed.

func (s *state) begin() { s.update(model.Update.Begin) }

// replan has every cell planned again: what kept pods from being made is over.
func (s *state) replan() { s.update(model.Update.Replan) }

func (s *state) podIs(pod *model.Pod)   { s.update(func(u model.Update) { u.SeePod(pod) }) }
func (s *state) podLeft(pod *model.Pod) { s.update(func(u model.Update) { u.ForgetPod(pod) }) }

func (s *state) nodeSeen(node *corev1.Node) { s.run(&model.SeeNode{Node: node}) }

// nodeFacts takes a node of which nothing changed that a verdict could depend on.
func (s *state) nodeFacts(before, now *corev1.Node) {
	s.run(&model.SeeNode{Node: now, Before: before})
}

func (s *state) nodeGone(name string) { s.run(&model.ForgetNode{Name: name}) }

// daemonSeen returns why the daemon is not served, when that is news. wrong is why its spec could not be decoded.
func (s *state) daemonSeen(object *v1alpha1.DaemonSet, wrong error) error {
	work := &model.SeeDaemon{Object: object, Wrong: wrong}
	s.run(work)
	return work.News
}

func (s *state) daemonGone(key model.DaemonKey) {
	s.update(func(u model.Update) { u.ForgetDaemon(key) })
}
func (s *state) ownerGone(key model.DaemonKey) { s.update(func(u model.Update) { u.OwnerGone(key) }) }

func (s *state) revisionSeen(object *appsv1.ControllerRevision) {
	s.run(&model.SeeRevision{Object: object})
}
func (s *state) revisionGone(namespace, name string) {
	s.update(func(u model.Update) { u.ForgetRevision(namespace, name) })
}

func (s *state) classSeen(class *schedulingv1.PriorityClass) {
	s.update(func(u model.Update) { u.SeeClass(class) })
}
func (s *state) classGone(name string) { s.update(func(u model.Update) { u.ForgetClass(name) }) }

func (s *state) runtimeClassSeen(class *nodev1.RuntimeClass) {
	s.update(func(u model.Update) { u.SeeRuntimeClass(class) })
}
func (s *state) runtimeClassGone(name string) {
	s.update(func(u model.Update) { u.ForgetRuntimeClass(name) })
}

// What was asked for, and what was answered.

func (s *state) wake(cells []daemon.CellKey) {
	if len(cells) > 0 {
		s.run(&model.WakeCells{Cells: cells})
	}
}

func (s *state) startTask(cell daemon.CellKey) (task model.Task) {
	s.update(func(u model.Update) { task = u.StartTask(cell) })
	return task
}

func (s *state) answered(cell daemon.CellKey, made, lost bool) {
	s.update(func(u model.Update) { u.Answered(cell, made, lost) })
}

func (s *state) deleted(cell daemon.CellKey, pod types.UID) {
	s.update(func(u model.Update) { u.Deleted(cell, pod) })
}

func (s *state) kept(cell daemon.CellKey, pod types.UID) {
	s.update(func(u model.Update) { u.Kept(cell, pod) })
}

func (s *state) replaced(cell daemon.CellKey) { s.update(func(u model.Update) { u.Replaced(cell) }) }

func (s *state) trouble(cell daemon.CellKey, problem daemon.Problem) {
	s.update(func(u model.Update) { u.SetProblem(cell, problem, problem.Reason == answers.ReasonNameTaken) })
}

func (s *state) mayAsk(cell daemon.CellKey) (wait time.Duration, because error) {
	s.update(func(u model.Update) { wait, because = u.MayAsk(cell) })
	return wait, because
}

func (s *state) refused(cell daemon.CellKey, err error, ofDaemon bool) {
	s.update(func(u model.Update) { u.Refused(cell, err, ofDaemon) })
}

func (s *state) taken(cell daemon.CellKey)     { s.update(func(u model.Update) { u.Taken(cell) }) }
func (s *state) needsNone(cell daemon.CellKey) { s.update(func(u model.Update) { u.NeedsNone(cell) }) }

func (s *state) tryAgainIn(namespace string) {
	s.update(func(u model.Update) { u.TryAgainIn(namespace) })
}

func (s *state) tryAgainOfClass(name string) {
	s.update(func(u model.Update) { u.TryAgainOfClass(name) })
}

func (s *state) roomIn(namespace, quota string) {
	s.update(func(u model.Update) { u.RoomIn(namespace, quota) })
}

func (s *state) nextProbe() (probe model.Probe, due bool) {
	s.update(func(u model.Update) { probe, due = u.NextProbe() })
	return probe, due
}

func (s *state) probed(probe *model.Probe, excluded bool) {
	s.update(func(u model.Update) { u.Probed(probe, excluded) })
}

func (s *state) foresee(cell daemon.CellKey, why string) {
	s.update(func(u model.Update) { u.Foresee(cell, why) })
}

func (s *state) report(key model.DaemonKey) { s.update(func(u model.Update) { u.Report(key) }) }

func (s *state) reportSelected(namespace string, selector labels.Selector) {
	s.update(func(u model.Update) { u.ReportSelected(namespace, selector) })
}

// recordAgain has daemons of a namespace try again whose template could not be recorded.
func (s *state) recordAgain(namespace string) {
	s.update(func(u model.Update) { u.RecordAgain(namespace) })
}

// notRecorded notes why a daemon's template has no record.
func (s *state) notRecorded(key model.DaemonKey, problem daemon.Problem) {
	s.update(func(u model.Update) { u.SetNotRecorded(key, problem) })
}

func (s *state) recordsChanged(key model.DaemonKey) {
	s.update(func(u model.Update) { u.RecordsChanged(key) })
}

// What is known.

// objects are all daemons that are kept up, sorted by namespace and name.
func (s *state) objects() (objects []*v1alpha1.DaemonSet) {
	s.run(model.Active(&objects))
	slices.SortFunc(objects, func(a, b *v1alpha1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return objects
}

func (s *state) health(key model.DaemonKey) (*v1alpha1.DaemonSet, daemon.Health) {
	work := &model.HealthOf{Key: key}
	s.run(work)
	return work.Object, work.Health
}

func (s *state) unserved(key model.DaemonKey) (object *v1alpha1.DaemonSet, problem daemon.Problem) {
	s.update(func(u model.Update) { object, problem = u.Unserved(key) })
	return object, problem
}

func (s *state) subject(key model.DaemonKey) (subject model.Subject, ok bool) {
	s.update(func(u model.Update) { subject, ok = u.Subject(key) })
	return subject, ok
}

func (s *state) recordsOf(subject *model.Subject) (records []daemon.Record) {
	s.update(func(u model.Update) { records = u.Records(subject) })
	return records
}

func (s *state) inUse(key model.DaemonKey, revision string) (uses bool) {
	s.update(func(u model.Update) { uses = u.InUse(key, revision) })
	return uses
}

func (s *state) podsOf(key model.DaemonKey, revision string) (pods []*model.Pod) {
	s.update(func(u model.Update) { u.PodsOf(key, revision, &pods) })
	return pods
}

func (s *state) emitted() map[string]map[string]func() *corev1.Pod {
	pods := map[string]map[string]func() *corev1.Pod{}
	s.run(model.EmittedPods(pods))
	return pods
}

// For the scrub.

func (s *state) podsInCells() []*model.Pod {
	work := &model.PodsInCells{}
	s.run(work)
	return work.Pods
}

func (s *state) knows(pod *model.Pod) (knows bool) {
	s.update(func(u model.Update) { knows = u.Knows(pod) })
	return knows
}

func (s *state) audit(key model.DaemonKey) (wrong []string) {
	s.update(func(u model.Update) { u.Audit(key, &wrong) })
	return wrong
}
