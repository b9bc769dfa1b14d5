package controller

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// What tests of this package share with those of others.
type (
	clock    = fixture.Clock
	server   = fixture.Server
	recorder = fixture.Recorder
)

var (
	t0          = fixture.T0
	makeDaemon  = fixture.Daemon
	makeNode    = fixture.Node
	makePod     = fixture.Pod
	emitted     = fixture.Emitted
	firstNames  = fixture.FirstNames
	generation  = fixture.Generation
	onlyWhere   = fixture.OnlyWhere
	deleting    = fixture.Deleting
	labelled    = fixture.Labelled
	incarnation = fixture.Incarnation
	podUID      = fixture.PodUID
	bound       = fixture.Bound
	terminating = fixture.Terminating
	ready       = fixture.Ready
	newServer   = fixture.NewServer
	testScheme  = fixture.Scheme
	wantStrings = fixture.WantStrings

	errInterlock            = fixture.ErrInterlock
	errQuota                = fixture.ErrQuota
	errPolicy               = fixture.ErrPolicy
	errNamespaceTerminating = fixture.ErrNamespaceTerminating
	errDenied               = fixture.ErrDenied
)

// queues remember what a world asked for since they were last emptied.
type queues struct {
	plans   []daemon.CellKey
	looks   []DaemonKey              // at histories
	ranks   map[daemon.CellKey]int32 // the priority that a cell was asked for with last
	reports []types.UID
}

func (q *queues) plan(key daemon.CellKey, priority int32) {
	q.plans = append(q.plans, key)
	if q.ranks == nil {
		q.ranks = map[daemon.CellKey]int32{}
	}
	q.ranks[key] = priority
}
func (q *queues) report(key DaemonKey) { q.reports = append(q.reports, key.UID) }

func (q *queues) look(key DaemonKey) { q.looks = append(q.looks, key) }

func (q *queues) enqueuers() enqueuers { return enqueuers{q.plan, q.report, q.look} }

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

func newTestWorld() (*state, *queues, *clock) {
	q, c := &queues{}, &clock{Time: t0}
	w := newState(everynodeOnly, "", c.Now, q.enqueuers())
	w.begin()
	return w, q, c
}

// seen takes a daemon whose spec can be decoded.
func (s *state) seen(set *v1alpha1.DaemonSet) error { return s.daemonSeen(set, nil) }

// task is the plan of a cell now.
func (s *state) task(cell daemon.CellKey) (task task) {
	s.update(func(u update) { task = u.task(cell) })
	return task
}

// podSeen and podGone are what the handlers of pods tell a world.
func (s *state) podSeen(pod *corev1.Pod) { s.podIs(everynodeOnly.seePod(pod)) }
func (s *state) podGone(pod *corev1.Pod) { s.podLeft(everynodeOnly.seePod(pod)) }

func countersOf(w *state, key DaemonKey) (*v1alpha1.DaemonSet, daemon.Counters) {
	object, health := w.health(key)
	return object, health.Counters
}

// seenAs is a daemon as the cache has it.
func seenAs(set *v1alpha1.DaemonSet) *seenSet { return &seenSet{DaemonSet: set} }
