package scheduling

import (
	"testing"

	"github.com/everynode/everynode/test/lab"
)

// In the secondary install.
func TestSecondary(t *testing.T) {
	s := newStage(t, lab.Options{
		Placement: lab.PlacementDirect, Without: []string{lab.Controller},
		ExtraArgs: map[string][]string{lab.EverynodeScheduler: {alone}},
	})
	witness := s.Watch()
	t.Run("a node that does not exist", func(t *testing.T) { missingNode(t, s) })
	t.Run("pods that are not served", func(t *testing.T) { notServed(t, s) })
	t.Run("stuck pods", func(t *testing.T) { stuck(t, s) })
	t.Run("preemption", func(t *testing.T) { preemption(t, s) })
	t.Run("a nominated pod", func(t *testing.T) { nominated(t, s) })
	t.Run("the node is deleted", func(t *testing.T) { nodeGoes(t, s) })
	t.Run("volumes", func(t *testing.T) { volumes(t, s) })
	t.Run("native DaemonSets", func(t *testing.T) { native(t, s) })
	t.Run("room is taken", func(t *testing.T) { takenBySecondary(t, s) })
	s.Verdict(witness, 1)
}
