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

// ownerReads counts what is read of DaemonSets.
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

// vanishingStage is a stage where whatever is made is deleted at once, on many nodes.
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

// turn has every cell looked at, and then whatever was made is deleted by somebody.
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

// The watch does not show that a DaemonSet was deleted, or is being: what the garbage collector deletes is not made again.
func TestNothingIsMadeOfADaemonThatIsGone(t *testing.T) {
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
		"another of its name": func(_ *testing.T, s *vanishingStage) {
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
				t.Errorf("%d pods were made, want the %d that the DaemonSet had", s.made, nodes)
			}
			if s.owners.reads != 1 {
				t.Errorf("the DaemonSet was read %d times, want once", s.owners.reads)
			}
			s.state.See(t, s.set) // the API server's answer was wrong, as after a restore of a backup
			s.owners.Reader = newServer(s.set.DeepCopy())
			s.turn(t)
			if s.made != 2*nodes {
				t.Errorf("%d pods were made, want each again once the watch shows the DaemonSet", s.made-nodes)
			}
		})
	}
}

// Somebody deletes whatever is made of a DaemonSet that is there: S8, on each node, and one read a second for all.
func TestPodsThatSomebodyDeletes(t *testing.T) {
	const nodes = 5
	s := newVanishingStage(t, nodes)
	for range 3600 {
		s.turn(t)
		s.clock.Advance(time.Second)
	}
	if s.made < 15*nodes || s.made > 18*nodes {
		t.Errorf("%d pods were made in an hour on %d nodes, want 15 to 18 on each", s.made, nodes)
	}
	if s.owners.reads > 18 {
		t.Errorf("the DaemonSet was read %d times, want at most once each time that pods are made", s.owners.reads)
	}
}

// Nothing is made while the DaemonSet cannot be read, and no answer is asked for again soon.
func TestOwnerThatCannotBeRead(t *testing.T) {
	s := newVanishingStage(t, 1)
	s.turn(t)
	s.owners.err = errors.New("connection refused")
	result, err := s.reconciler.Reconcile(t.Context(), s.cells[0])
	if got := outcome(result, err); got != again || s.made != 1 || len(s.Pods(t)) > 0 {
		t.Errorf("Reconcile = %s, %d pods made", got, s.made)
	}
	s.owners.err = nil
	s.turn(t)
	if s.made != 2 {
		t.Errorf("%d pods made once it can be read, want 2", s.made)
	}
}
