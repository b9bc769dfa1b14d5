package checker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// openWave returns the index of the wave that is open by what the newest record of a daemon says; the number of waves if all have
// passed. Nothing is recorded of the first one before it soaks.
func (s *state) openWave(d *daemon, waves []v1alpha1.Wave) int {
	record := s.newest(d)
	if record == nil {
		return 0
	}
	mark := readMark(record.Annotations[v1alpha1.WaveAnnotation])
	if mark.number != record.Revision {
		return 0
	}
	if index := slices.IndexFunc(waves, func(wave v1alpha1.Wave) bool { return wave.Name == mark.name }); mark.name != "" && index >= 0 {
		return index
	}
	return min(mark.index, len(waves))
}

// mark is what is recorded of the open wave.
type mark struct {
	index    int
	name     string
	number   int64
	since    time.Time
	soaked   time.Duration
	promoted bool
}

// readMark reads the annotation; what cannot be read is zero.
func readMark(text string) (read mark) {
	for i, field := range strings.Fields(text) {
		if i == 0 {
			index, name, _ := strings.Cut(field, "/")
			read.index, _ = strconv.Atoi(index)
			read.name = name
			continue
		}
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "number":
			read.number, _ = strconv.ParseInt(value, 10, 64)
		case "since":
			read.since, _ = time.Parse(time.RFC3339, value)
		case "soaked":
			read.soaked, _ = time.ParseDuration(value)
		case "promoted":
			read.promoted = true
		}
	}
	return read
}

// outsideWaves reports whether a node, whichever of these states it is in, is in none of the waves up to the open one. With a
// number a wave may include any node that matches.
func (s *state) outsideWaves(d *daemon, of *spec, node []*corev1.Node) bool {
	if of.rollout == nil || of.rollout.NewNodes == v1alpha1.NewNodesUpdate {
		return false
	}
	open := s.openWave(d, of.rollout.Waves)
	if open == len(of.rollout.Waves) {
		return false
	}
	return !slices.ContainsFunc(node, func(node *corev1.Node) bool {
		return slices.ContainsFunc(of.rollout.Waves[:open+1], func(wave v1alpha1.Wave) bool { return selected(wave.NodeSelector, node) })
	})
}

// mayAwaitWave reports whether a node may wait for a later wave, or for its turn in one with a number.
func (s *state) mayAwaitWave(d *daemon, node *corev1.Node) bool {
	waves := d.spec().rollout.Waves
	open := s.openWave(d, waves)
	return open < len(waves) && !slices.ContainsFunc(waves[:open+1], func(wave v1alpha1.Wave) bool {
		return wave.Nodes == nil && selected(wave.NodeSelector, node)
	})
}

// sizeOfWave returns how many of a number of eligible nodes a wave has, with those before.
func sizeOfWave(nodes *intstr.IntOrString, eligible int) int {
	return min(scaled(*nodes, eligible), eligible)
}

// judgeWave judges L1: the open wave has as many nodes as its number says.
func (s *state) judgeWave(d *daemon) {
	rollout := d.spec().rollout
	if rollout == nil || rollout.Paused || rollout.NodeSelector != nil || rollout.Partition != nil || d.spec().onDelete || d.spec().suspended {
		return
	}
	open := s.openWave(d, rollout.Waves)
	if open == len(rollout.Waves) || rollout.Waves[open].Nodes == nil || rollout.Waves[open].NodeSelector != nil {
		return
	}
	held, updated, eligible := 0, 0, d.eligible()
	for _, c := range d.cells {
		switch {
		case c.at.object == nil || !c.may.start || len(c.pods) != 1:
		case reflects(d.spec().template, c.pods[0].object):
			updated++
		default:
			held++
		}
	}
	if size := sizeOfWave(rollout.Waves[open].Nodes, eligible); held > 0 && updated < size {
		s.violated(L1, d.key.String(), "%d nodes are updated, and wave %s has %d of %d", updated, rollout.Waves[open].Name, size, eligible)
	}
}

// judgePassed judges R1 when a record changes: waves pass one by one, and not before the recorded soak has ended, unless they are
// promoted. Not judged is what spec says differently since the former state.
func (s *state) judgePassed(d *daemon, before, now *revision) {
	was, is := readMark(before.object.Annotations[v1alpha1.WaveAnnotation]), readMark(now.object.Annotations[v1alpha1.WaveAnnotation])
	spec := d.spec()
	if spec.rollout == nil || spec.from >= before.changed || is.number == 0 || was.number != 0 && was.number != is.number || is.index <= was.index || was.index >= len(spec.rollout.Waves) {
		return
	}
	if was.number != 0 && was.name != spec.rollout.Waves[was.index].Name {
		return // it was written by a spec that is no longer the present one
	}
	if s.judged(R1); is.index != was.index+1 {
		s.violated(R1, d.key.String(), "wave %d is open after wave %d", is.index, was.index)
		return
	}
	wave := &spec.rollout.Waves[was.index]
	soak, err := time.ParseDuration(wave.Soak)
	if err != nil || is.promoted || now.object.Annotations[v1alpha1.PromotedAnnotation] != before.object.Annotations[v1alpha1.PromotedAnnotation] {
		return
	}
	since := was.since
	if since.IsZero() { // the wave was not complete, or its soak was not recorded: it began no earlier than that was
		since = before.when.Add(-was.soaked)
	}
	if end := since.Add(soak); s.now.Before(end) {
		s.violated(R1, d.key.String(), "wave %s has passed, and soaks until %s at least", wave.Name, end.Format(time.RFC3339))
	}
}
