package cells

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// ownerReads counts reads of DaemonSets.
type ownerReads struct {
	client.Reader
	reads int
	err   error
}

func (r *ownerReads) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, owner := object.(*metav1.PartialObjectMetadata); owner {
		if r.reads++; r.err != nil {
			return r.err
		}
	}
	return r.Reader.Get(ctx, key, object, options...)
}

// vanishingStage is a stage with many nodes, where every created pod is deleted at once.
type vanishingStage struct {
	*stage
	owners *ownerReads
	cells  []daemon.CellKey
	made   int
}

func newVanishingStage(t *testing.T, nodes int) *vanishingStage {
	t.Helper()
	s := &vanishingStage{stage: newStage(t)}
	s.owners = &ownerReads{Reader: s.server}
	s.reconciler.owners = newOwners(s.state.State, s.owners)
	for n := range nodes {
		node := makeNode(fmt.Sprintf("node-%d", n))
		s.state.SeeNode(node)
		s.cells = append(s.cells, fixture.Key(s.set).On(node.Name))
	}
	return s
}

// turn plans every cell, and then another client deletes all created pods.
func (s *vanishingStage) turn(t *testing.T) {
	t.Helper()
	for _, cell := range s.cells {
		_, _ = s.reconciler.Reconcile(t.Context(), cell)
	}
	for _, pod := range s.Pods(t) {
		s.made++
		s.state.SeePod(&pod)
		if err := s.Delete(t.Context(), &pod); err != nil {
			t.Fatal(err)
		}
		s.state.ForgetPod(&pod)
	}
}

// The watch does not show yet that a DaemonSet was deleted or is terminating: pods that the garbage collector deletes are not recreated.
func TestNoPodOfADeletedDaemonIsCreated(t *testing.T) {
	const nodes = 5
	for name, end := range map[string]func(t *testing.T, s *vanishingStage){
		"gone": func(t *testing.T, s *vanishingStage) {
			if err := s.Delete(t.Context(), s.set.DeepCopy()); err != nil {
				t.Fatal(err)
			}
		},
		"being deleted": func(t *testing.T, s *vanishingStage) {
			held := s.set.DeepCopy()
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":["foregroundDeletion"]}}`))
			if err := s.Patch(t.Context(), held, patch); err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(t.Context(), held); err != nil {
				t.Fatal(err)
			}
		},
		"another DaemonSet of its name": func(_ *testing.T, s *vanishingStage) {
			next := makeDaemon("d")
			next.UID = "uid-next"
			s.owners.Reader = newServer(next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newVanishingStage(t, nodes)
			s.turn(t)
			end(t, s)
			for range 3600 {
				s.turn(t)
				s.clock.Advance(time.Second)
			}
			if s.made != nodes {
				t.Errorf("%d pods were created, want the %d that the DaemonSet had", s.made, nodes)
			}
			if s.owners.reads != 1 {
				t.Errorf("the DaemonSet was read %d times, want once", s.owners.reads)
			}
			s.state.See(t, s.set) // the API server's answer was outdated, as after a restore of a backup
			s.owners.Reader = newServer(s.set.DeepCopy())
			s.turn(t)
			if s.made != 2*nodes {
				t.Errorf("%d pods were created, want each recreated once the watch shows the DaemonSet", s.made-nodes)
			}
		})
	}
}

// Another client deletes all pods of an existing DaemonSet: S8 holds on each node, with one read a second for all.
func TestPodsDeletedByOthers(t *testing.T) {
	const nodes = 5
	s := newVanishingStage(t, nodes)
	for range 3600 {
		s.turn(t)
		s.clock.Advance(time.Second)
	}
	if s.made < 15*nodes || s.made > 18*nodes {
		t.Errorf("%d pods were created in an hour on %d nodes, want 15 to 18 on each", s.made, nodes)
	}
	if s.owners.reads > 18 {
		t.Errorf("the DaemonSet was read %d times, want at most once each time that pods are created", s.owners.reads)
	}
}

// No pod is created while the DaemonSet cannot be read, and a missing answer is retried soon.
func TestOwnerThatCannotBeRead(t *testing.T) {
	s := newVanishingStage(t, 1)
	s.turn(t)
	s.owners.err = errors.New("connection refused")
	result, err := s.reconciler.Reconcile(t.Context(), s.cells[0])
	if got := outcome(result, err); got != again || s.made != 1 || len(s.Pods(t)) > 0 {
		t.Errorf("Reconcile = %s, %d pods created", got, s.made)
	}
	s.owners.err = nil
	s.turn(t)
	if s.made != 2 {
		t.Errorf("%d pods created once it can be read, want 2", s.made)
	}
}
