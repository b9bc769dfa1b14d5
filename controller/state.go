package controller

import (
	"cmp"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// state is the model with its lock. It enqueues what an observation wakes after it has released the lock, and
// does what concerns many cells batch by batch. It is safe for concurrent use.
type state struct {
	now    func() time.Time
	queues enqueuers
	mu     hold
	model  *model
	wakes  sync.Pool
}

// enqueuers add to the queues. They are called while the model is not locked.
type enqueuers struct {
	cell    func(cell daemon.CellKey, priority int32)
	status  func(DaemonKey)
	history func(DaemonKey)
}

// hold is the model's lock. A test looks at what was done while it was locked.
type hold struct {
	sync.Mutex
	ended func(*wake)
}

// newState is a state in which nothing was seen; nonce is in the names of pods that come after none that is known.
func newState(kinds Kinds, nonce string, now func() time.Time, queues enqueuers) *state {
	return &state{now: now, queues: queues, model: newModel(kinds, nonce), wakes: sync.Pool{New: func() any { return &wake{} }}}
}

// update has the model take an observation, and does what that asks for.
func (s *state) update(observe func(update)) { s.deliver(s.locked(observe)) }

func (s *state) locked(observe func(update)) *wake {
	s.mu.Lock()
	defer s.mu.Unlock()
	wake := s.wakes.Get().(*wake)
	observe(update{s.model, s.now(), wake})
	if s.mu.ended != nil {
		s.mu.ended(wake)
	}
	return wake
}

func (s *state) deliver(wake *wake) {
	for _, cell := range wake.cells {
		s.queues.cell(cell.key, cell.priority)
	}
	for _, key := range wake.statuses {
		s.queues.status(key)
	}
	for _, key := range wake.histories {
		s.queues.history(key)
	}
	for _, work := range wake.work {
		s.run(work)
	}
	wake.reset()
	s.wakes.Put(wake)
}

// run does work to its end. The model is not locked between two steps.
func (s *state) run(work work) {
	for more := true; more; {
		s.update(func(u update) { more = work.step(u) })
		if more {
			work.compute()
		}
	}
}

// What was observed.

func (s *state) begin() { s.update(update.begin) }

// replan has every cell planned again: what kept pods from being made is over.
func (s *state) replan() { s.update(update.replan) }

func (s *state) podIs(pod *seenPod)   { s.update(func(u update) { u.podIs(pod) }) }
func (s *state) podLeft(pod *seenPod) { s.update(func(u update) { u.podLeft(pod) }) }

func (s *state) nodeSeen(node *corev1.Node) { s.run(&seeNode{node: node}) }
func (s *state) nodeGone(name string)       { s.run(&removeNode{name: name}) }

// daemonSeen returns why the daemon is not served, when that is news. wrong is why its spec could not be decoded.
func (s *state) daemonSeen(object *v1alpha1.DaemonSet, wrong error) error {
	work := &seeDaemon{object: object, wrong: wrong}
	s.run(work)
	return work.news
}

func (s *state) daemonGone(key DaemonKey) { s.update(func(u update) { u.removeDaemon(key) }) }
func (s *state) ownerGone(key DaemonKey)  { s.update(func(u update) { u.ownerGone(key) }) }

func (s *state) revisionSeen(object *appsv1.ControllerRevision) { s.run(&seeRevision{object: object}) }
func (s *state) revisionGone(namespace, name string) {
	s.update(func(u update) { u.removeRevision(namespace, name) })
}

func (s *state) classSeen(class *schedulingv1.PriorityClass) {
	s.update(func(u update) { u.classSeen(class) })
}
func (s *state) classGone(name string) { s.update(func(u update) { u.classGone(name) }) }

// What was asked for, and what was answered.

func (s *state) wake(cells []daemon.CellKey) {
	if len(cells) > 0 {
		s.run(&wakeCells{cells: cells})
	}
}

func (s *state) startTask(cell daemon.CellKey) (task task) {
	s.update(func(u update) { task = u.startTask(cell) })
	return task
}

func (s *state) answered(cell daemon.CellKey, made, lost bool) {
	s.update(func(u update) { u.answered(cell, made, lost) })
}

func (s *state) deleted(cell daemon.CellKey, pod types.UID) {
	s.update(func(u update) { u.deleted(cell, pod) })
}

func (s *state) kept(cell daemon.CellKey, pod types.UID) {
	s.update(func(u update) { u.kept(cell, pod) })
}

func (s *state) replaced(cell daemon.CellKey) { s.update(func(u update) { u.replaced(cell) }) }

func (s *state) trouble(cell daemon.CellKey, problem daemon.Problem) {
	s.update(func(u update) { u.trouble(cell, problem) })
}

func (s *state) report(key DaemonKey) { s.update(func(u update) { u.report(key) }) }

func (s *state) reportSelected(namespace string, selector labels.Selector) {
	s.update(func(u update) { u.reportSelected(namespace, selector) })
}

func (s *state) recordsChanged(key DaemonKey) { s.update(func(u update) { u.recordsChanged(key) }) }

// What is known.

// objects are all daemons that are kept up, sorted by namespace and name.
func (s *state) objects() (objects []*v1alpha1.DaemonSet) {
	s.run(active(&objects))
	slices.SortFunc(objects, func(a, b *v1alpha1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return objects
}

func (s *state) ofClass(name string) (keys []DaemonKey) {
	s.run(ofPriorityClass(name, &keys))
	return keys
}

func (s *state) health(key DaemonKey) (*v1alpha1.DaemonSet, daemon.Health) {
	work := &healthOf{key: key}
	s.run(work)
	return work.object, work.health
}

func (s *state) unserved(key DaemonKey) (object *v1alpha1.DaemonSet, problem daemon.Problem) {
	s.update(func(u update) { object, problem = u.unservedDaemon(key) })
	return object, problem
}

func (s *state) subject(key DaemonKey) (subject subject, ok bool) {
	s.update(func(u update) { subject, ok = u.subject(key) })
	return subject, ok
}

func (s *state) recordsOf(subject *subject) (records []daemon.Record) {
	s.update(func(u update) { records = u.records.of(subject) })
	return records
}

func (s *state) holds(key DaemonKey, revision string) (holds bool) {
	s.update(func(u update) { holds = u.holds(key, revision) })
	return holds
}

func (s *state) podsOf(key DaemonKey, revision string) (pods []*seenPod) {
	s.update(func(u update) { u.podsOf(key, revision, &pods) })
	return pods
}

func (s *state) emitted() map[string]map[string]func() *corev1.Pod {
	pods := map[string]map[string]func() *corev1.Pod{}
	s.run(emittedPods(pods))
	return pods
}

// For the scrub.

func (s *state) podsInCells() []*seenPod {
	work := &podsInCells{}
	s.run(work)
	return work.pods
}

func (s *state) knows(pod *seenPod) (knows bool) {
	s.update(func(u update) { knows = u.knows(pod) })
	return knows
}

func (s *state) audit(key DaemonKey) (wrong []string) {
	s.update(func(u update) { u.audit(key, &wrong) })
	return wrong
}
