package engine

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
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
	image       = fixture.Image
	nativeKind  = fixture.NativeKind
	ofClass     = fixture.OfClass
	class       = fixture.Class
	orphaned    = fixture.Orphaned
	relabelled  = fixture.Relabelled
	newServer   = fixture.NewServer
	testScheme  = fixture.Scheme
	wantStrings = fixture.WantStrings

	errQuota                = fixture.ErrQuota
	errPolicy               = fixture.ErrPolicy
	errNamespaceTerminating = fixture.ErrNamespaceTerminating
	errDenied               = fixture.ErrDenied
)

// queues remember what a world asked for since they were last emptied.
type queues struct {
	plans   []daemon.CellKey
	looks   []model.DaemonKey        // at histories
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
func (q *queues) report(key model.DaemonKey) { q.reports = append(q.reports, key.UID) }

func (q *queues) look(key model.DaemonKey) { q.looks = append(q.looks, key) }

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
var everynodeOnly = model.Kinds{Everynode: true}

func newTestWorld() (*state, *queues, *clock) {
	q, c := &queues{}, &clock{Time: t0}
	w := newState(everynodeOnly, "", c.Now, q.enqueuers())
	w.begin()
	return w, q, c
}

// seen takes a daemon whose spec can be decoded, and the record of its template, which a controller stores at once.
func (s *state) seen(set *v1alpha1.DaemonSet) error {
	if err := s.daemonSeen(set, nil); err != nil || set.DeletionTimestamp != nil {
		return err
	}
	if subject, ok := s.subject(model.KeyOf(set)); ok && !subject.Settled() {
		s.revisionSeen(fixture.Record(set))
	}
	return nil
}

// task is the plan of a cell now.
func (s *state) task(cell daemon.CellKey) (task model.Task) {
	s.update(func(u model.Update) { task = u.Task(cell) })
	return task
}

func wantSteps(t *testing.T, w *state, key daemon.CellKey, want ...string) {
	t.Helper()
	fixture.WantSteps(t, key, w.task(key).Plan, want)
}

func wantQueued(t *testing.T, q *queues, wantPlans []string, wantReports []types.UID) {
	t.Helper()
	plans, reports := q.drain()
	if diff := cmp.Diff(wantPlans, plans, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("cells to plan (-want, +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantReports, reports, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("daemons to report (-want, +got):\n%s", diff)
	}
}

func see(t *testing.T, w *state, set *v1alpha1.DaemonSet) {
	t.Helper()
	if err := w.seen(set); err != nil {
		t.Fatal(err)
	}
}

const createStep = fixture.CreateStep

func ofReplicaSet(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "ReplicaSet" }

func claimsOf(w *state, set *v1alpha1.DaemonSet, node string) (due []string) {
	for _, claim := range w.task(model.KeyOf(set).On(node)).Claims {
		verb := "release"
		if claim.Adopt {
			verb = "adopt"
		}
		due = append(due, fmt.Sprintf("%s %s", verb, claim.Pod.UID))
	}
	return due
}

var errUndecodable = errors.New("spec.template: it cannot be read")

// podSeen and podGone are what the handlers of pods tell a world.
func (s *state) podSeen(pod *corev1.Pod) { s.podIs(everynodeOnly.ObservePod(pod)) }
func (s *state) podGone(pod *corev1.Pod) { s.podLeft(everynodeOnly.ObservePod(pod)) }

func countersOf(w *state, key model.DaemonKey) (*v1alpha1.DaemonSet, daemon.Counters) {
	object, health := w.health(key)
	return object, health.Counters
}

// seenAs is a daemon as the cache has it.
func seenAs(set *v1alpha1.DaemonSet) *caches.Set { return &caches.Set{DaemonSet: set} }

// seeAlone is see without a record of the daemon's template.
func seeAlone(t *testing.T, w *state, set *v1alpha1.DaemonSet) {
	t.Helper()
	if err := w.daemonSeen(set, nil); err != nil {
		t.Fatal(err)
	}
}
