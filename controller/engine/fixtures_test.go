package engine

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/cells"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

// Helpers that this package's tests share with others.
type (
	clock    = fixture.Clock
	server   = fixture.Server
	recorder = fixture.Recorder
)

var (
	t0             = fixture.T0
	makeDaemon     = fixture.Daemon
	makeNode       = fixture.Node
	makePod        = fixture.Pod
	generation     = fixture.Generation
	onlyWhere      = fixture.OnlyWhere
	deleting       = fixture.Deleting
	labelled       = fixture.Labelled
	tainted        = fixture.Tainted
	incarnation    = fixture.Incarnation
	podUID         = fixture.PodUID
	bound          = fixture.Bound
	ready          = fixture.Ready
	oneUnavailable = fixture.OneUnavailable
	ofClass        = fixture.OfClass
	class          = fixture.Class
	orphaned       = fixture.Orphaned
	relabelled     = fixture.Relabelled
	newServer      = fixture.NewServer
	wantStrings    = fixture.WantStrings

	errQuota  = fixture.ErrQuota
	errPolicy = fixture.ErrPolicy
)

const (
	createStep = fixture.CreateStep
	looksLater = fixture.LooksLater
	failed     = fixture.Failed
)

// stage is an engine with everything around it: daemon d and node n1.
type stage struct {
	*server
	engine *Engine
	state  *statetest.State
	queues *fixture.Queues
	after  []time.Duration // by which statuses were put off
	clock  *fixture.Clock
	set    *v1alpha1.DaemonSet
	node   *corev1.Node
}

func newStage(t *testing.T) *stage {
	t.Helper()
	set := makeDaemon("d")
	s := &stage{server: newServer(set.DeepCopy()), queues: &fixture.Queues{}, clock: &fixture.Clock{Time: t0}, set: set, node: makeNode("n1")}
	s.engine = New(Deps{
		Kinds: statetest.Everynode, Clock: s.clock, Client: s.server, Reader: s.server, Recorder: &recorder{},
		Queues: Queues{
			Cell: s.queues.Cell,
			Status: func(key daemon.WorkloadKey, after time.Duration) {
				s.queues.Status(key.UID)
				s.after = append(s.after, after)
			},
			History: func(key daemon.WorkloadKey) { s.queues.History(key.UID) },
		},
		Placement: placement.Auto, Workers: 4,
	})
	s.state = statetest.Of(statetest.Everynode, s.engine.state)
	s.engine.ConfigMapsListed()
	s.engine.Begin()
	s.state.See(t, s.set)
	s.state.SeeNode(s.node)
	return s
}

// act works on the cell of daemon d on n1.
func (s *stage) act(t *testing.T) string {
	t.Helper()
	return fixture.Outcome(s.engine.ReconcileCell(t.Context(), fixture.Key(s.set).On("n1")))
}

// observing is an engine that only observes.
func observing(of *statetest.State) *Engine {
	return &Engine{state: of.State, cells: cells.New(cells.Deps{State: of.State})}
}

func ofReplicaSet(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "ReplicaSet" }

func claimsOf(of *statetest.State, set *v1alpha1.DaemonSet, node string) (due []string) {
	for _, claim := range of.Task(fixture.Key(set).On(node)).Claims {
		verb := "release"
		if claim.Adopt {
			verb = "adopt"
		}
		due = append(due, fmt.Sprintf("%s %s", verb, claim.Pod.UID))
	}
	return due
}

// seenAs is a daemon as the cache has it.
func seenAs(set *v1alpha1.DaemonSet) *caches.Set {
	return &caches.Set{Object: set, Workload: fixture.Workload(set)}
}
