package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The waves of a rollout are sets of nodes that only grow. While one is open, the nodes of it and of those before may be
// admitted, and no others:
//
//   - a wave with only a selector wants every node that matches, and so it remains when later waves are open;
//   - a wave with a number wants nodes, of those that match its selector if it has one, until so many are admitted in all,
//     whatever wave admitted them. Updated nodes are admitted, so that churn does not move a canary.
//
// What partition, nodeSelector and paused leave out is not admitted for a wave either, and the wave does not pass without it.
// Which wave is open, and since when it soaks, is recorded with the update revision (soak.go).

// Wave is one of spec.rollout.waves, parsed. It is read-only.
type Wave struct {
	Name     string
	Soak     time.Duration
	Checks   []string
	Approval bool

	nodes          *intstr.IntOrString // in all; nil for all that match
	selector       labels.Selector     // nil for all
	maxUnavailable *intstr.IntOrString // nil for that of the strategy
}

// The most that waves may have, as in the schema of the CRD.
const (
	maxWaves  = 16
	maxChecks = 4
	maxSoak   = 168 * time.Hour
)

// newWaves parses spec.rollout.waves.
func newWaves(spec []v1alpha1.Wave) ([]Wave, error) {
	if len(spec) > maxWaves {
		return nil, fmt.Errorf("spec.rollout.waves has %d waves, at most %d are served", len(spec), maxWaves)
	}
	var waves []Wave
	for i := range spec {
		wave, err := newWave(&spec[i])
		if err != nil {
			return nil, fmt.Errorf("spec.rollout.waves[%d]%w", i, err)
		}
		if openWave(waves, wave.Name) >= 0 {
			return nil, fmt.Errorf("spec.rollout.waves[%d].name: another wave is named %q", i, wave.Name)
		}
		waves = append(waves, wave)
	}
	return waves, nil
}

func newWave(spec *v1alpha1.Wave) (wave Wave, err error) {
	wave = Wave{Name: spec.Name, Checks: spec.Checks, Approval: spec.Approval, nodes: spec.Nodes, maxUnavailable: spec.MaxUnavailable}
	for _, number := range []struct {
		field string
		value *intstr.IntOrString
	}{{"nodes", spec.Nodes}, {"maxUnavailable", spec.MaxUnavailable}} {
		if number.value != nil && !positive(number.value) {
			return Wave{}, fmt.Errorf(".%s must be a number of nodes, 1 or more, or a percentage from 1%% to 100%%, and is %q", number.field, number.value.String())
		}
	}
	if wave.selector, err = nodeSelector(spec.NodeSelector); err != nil {
		return Wave{}, fmt.Errorf(".nodeSelector: %w", err)
	}
	if spec.Soak != "" {
		wave.Soak, err = time.ParseDuration(spec.Soak)
	}
	invalid := func(name string) bool { return len(validation.IsDNS1123Label(name)) > 0 }
	switch {
	case invalid(spec.Name):
		return Wave{}, fmt.Errorf(".name must be a DNS label, and is %q", spec.Name)
	case spec.Nodes == nil && spec.NodeSelector == nil:
		return Wave{}, fmt.Errorf(": wave %s needs nodes, nodeSelector or both", spec.Name)
	case err != nil || wave.Soak < 0 || wave.Soak > maxSoak:
		return Wave{}, fmt.Errorf(".soak must be a duration of at most %s, and is %q", maxSoak, spec.Soak)
	case len(spec.Checks) > maxChecks || slices.ContainsFunc(spec.Checks, invalid):
		return Wave{}, fmt.Errorf(".checks must be at most %d DNS labels", maxChecks)
	}
	return wave, nil
}

func positive(value *intstr.IntOrString) bool {
	if value.Type == intstr.Int {
		return value.IntVal >= 1
	}
	return percentage.MatchString(value.StrVal) && strings.Trim(value.StrVal, "0%") != ""
}

// openWave returns the index of the wave of a name, -1 if there is none.
func openWave(waves []Wave, name string) int {
	return slices.IndexFunc(waves, func(wave Wave) bool { return wave.Name == name })
}

// size returns how many of a number of eligible nodes are admitted when the wave has passed.
func (w *Wave) size(desired int) int {
	if w.nodes.Type == intstr.Int {
		return min(int(w.nodes.IntVal), desired)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(w.nodes.StrVal, "%"))
	if err != nil {
		return 0
	}
	return min((desired*percent+99)/100, desired)
}

// whole reports whether the wave wants every node.
func (w *Wave) whole() bool {
	return w.selector == nil && (w.nodes == nil || w.nodes.String() == "100%")
}

// wanted is whether a wave that is open, or one before, wants a node.
type wanted uint8

const (
	unwanted  wanted = iota
	wantedTo         // until the wave has its number
	wantedAll        // whatever the number
)

// wave returns the open wave, nil if none is.
func (s *RolloutState) wave() *Wave {
	if s.Hold == nil || s.Wave >= len(s.Hold.waves) {
		return nil
	}
	return &s.Hold.waves[s.Wave]
}

// wants returns whether the open wave, or one before, wants a node.
func (s *RolloutState) wants(node *NodeFacts) wanted {
	open := s.wave()
	if open == nil {
		return wantedAll
	}
	matches := func(wave *Wave) bool {
		return wave.selector == nil || node != nil && wave.selector.Matches(labels.Set(node.Labels))
	}
	for i := range s.Hold.waves[:s.Wave+1] {
		if wave := &s.Hold.waves[i]; wave.nodes == nil && matches(wave) {
			return wantedAll
		}
	}
	if open.nodes != nil && matches(open) {
		return wantedTo
	}
	return unwanted
}

// limited reports whether nodes wait in the queue until they may be admitted.
func (s *RolloutState) limited() bool { return s.Hold.limited() || s.wave() != nil }

// joinsOnUpdate reports whether nodes that join are admitted at once.
func (s *RolloutState) joinsOnUpdate() bool {
	if s.Hold.joinsByWave {
		wave := s.wave()
		return wave == nil || wave.whole()
	}
	return s.Hold.joinOnUpdate
}

// StrategyOf returns the strategy by which pods are replaced while a wave is open.
func (s *RolloutState) StrategyOf(strategy Strategy) Strategy {
	if wave := s.wave(); s.holds() && wave != nil && wave.maxUnavailable != nil {
		strategy.MaxUnavailable = *wave.maxUnavailable
	}
	return strategy
}

// barred counts cells that the open wave wants, and that something else leaves out: the rollout, or a node that is not Ready.
type barred [wantedAll + 1]int

// inWave returns as what the open wave counts a cell: in the queue, or else barred.
func (c *Cells) inWave(cell *counted, queued bool) wanted {
	switch {
	case !c.terms.holds || c.state.wave() == nil:
		return unwanted
	case queued, !cell.admitted && !cell.joins && cell.Verdict.ShouldRun && cell.blocked == nil && c.down.as[cell.Node] != excused:
		return cell.wanted
	}
	return unwanted
}

// roomInWave returns how many of the cells in the queue the open wave may admit.
func (c *Cells) roomInWave(wave *Wave) int {
	if wave.nodes == nil {
		return c.urgent
	}
	more := max(0, wave.size(c.sums.Desired)-c.sums.Done-c.sums.Lagging)
	return min(c.queueLen(), max(more, c.urgent))
}

func (c *Cells) queueLen() int {
	if c.queue == nil {
		return 0
	}
	return c.queue.Len()
}

// WaveComplete reports whether every node that the open wave wants, and that is eligible and not excused, has an available pod
// of the update revision.
func (c *Cells) WaveComplete() bool {
	wave := c.state.wave()
	if wave == nil || !c.terms.holds || c.terms.suspended || c.state.Recorded != "" || c.state.paused() || c.halted() {
		return false
	}
	full := wave.nodes != nil && c.sums.Done+c.sums.Lagging >= wave.size(c.sums.Desired)
	return c.sums.Lagging == 0 && c.roomInWave(wave) == 0 && c.barred[wantedAll] == 0 && (full || c.barred[wantedTo] == 0)
}

// TakeFailure reports whether a pod of the update revision failed since the last call: it was available, and is not any more,
// although nobody deletes it.
func (c *Cells) TakeFailure() (failed bool) {
	failed, c.failure = c.failure, false
	return failed
}

// noteFailure notes that a cell's pod has failed, given which one was available before.
func (c *Cells) noteFailure(cell *counted, was part) {
	if was.hold == onHoldDone && cell.part.hold == onHoldLagging && len(cell.Pods) > 0 && cell.Pods[0].WasReady && !cell.Pods[0].Terminating {
		c.failure = true
	}
}
