package checker

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// rolloutOf returns what a DaemonSet holds back, nil if nothing.
func rolloutOf(set *v1alpha1.DaemonSet) *v1alpha1.Rollout {
	if set.Annotations[v1alpha1.PausedAnnotation] == "true" {
		return &v1alpha1.Rollout{Paused: true}
	}
	return set.Spec.Rollout
}

// judgeHeldBack judges R1 when a delete takes effect on an available pod: a node that the rollout holds back in all states of the window
// does not lose its only pod, which has the stable revision.
func (s *state) judgeHeldBack(p *pod, c *cell, removal *removal) {
	if removal.unknown || !removal.by(s) || c.daemon.kind != history.DaemonSets || s.gaps.now || !s.requests.recorded {
		return
	}
	r := removal.request
	w := s.window(r.Request, r.time)
	w.from = min(w.from, r.at)
	if c.daemon.spec().rollout == nil || s.gaps.within(w.from, history.Pods, history.Nodes, history.RuntimeClasses, history.ControllerRevisions, c.daemon.kind) {
		return
	}
	if s.judged(R1); !s.heldBack(p, c, w) {
		return
	}
	s.violated(R1, c.key(), "pod %s of the stable revision is deleted although the rollout holds the node back", p.object.Name)
}

// heldBack reports whether a pod was the only one of an eligible node that was held back on the pod's revision in all states of a window.
func (s *state) heldBack(p *pod, c *cell, w window) bool {
	stable := s.stable(c.daemon)
	switch {
	case stable == nil || stable.Labels[appsv1.ControllerRevisionHashLabelKey] != p.revision() || !s.eligible(c, w):
		return false
	case len(c.pods) > 1 || p.at >= w.from || c.last != nil && c.last.goneAt >= w.from:
		return false // another pod may have been better
	}
	for _, record := range s.records {
		if ownerOf(record.object) == c.daemon.uid && record.changed >= w.from {
			return false // another revision may have been stable
		}
	}
	for _, spec := range c.daemon.specsSince(w.from) {
		if !spec.holds(c.at.states(w.from)) && !s.outsideWaves(c.daemon, spec, c.at.states(w.from)) || reflects(spec.template, p.object) {
			return false
		}
	}
	return true
}

// holds reports whether the rollout holds a node back, whichever of these states it is in. A node that has joined may be updated under
// newNodes Update.
func (s *spec) holds(node []*corev1.Node) bool {
	if s.rollout == nil || s.rollout.NewNodes == v1alpha1.NewNodesUpdate {
		return false
	}
	return s.rollout.Paused || !slices.ContainsFunc(node, func(node *corev1.Node) bool { return selected(s.rollout.NodeSelector, node) })
}

// mayBeHeld reports whether the pod of a cell may have something else than spec.template: what is recorded as stable or, while the rollout is
// paused, whatever it had.
func (s *state) mayBeHeld(c *cell, p *pod) bool {
	rollout := c.daemon.spec().rollout
	switch {
	case rollout == nil:
		return false
	case rollout.Paused, s.stalls(c.daemon):
		return true
	case !selected(rollout.NodeSelector, c.at.object) || partitioned(rollout.Partition, c.daemon.eligible()) > 0 || s.mayAwaitWave(c.daemon, c.at.object):
		stable := s.stable(c.daemon)
		return stable != nil && stable.Labels[appsv1.ControllerRevisionHashLabelKey] == p.revision()
	}
	return false
}

// selected reports whether a node has the labels of a selector. The simulation's selectors have no expressions.
func selected(selector *v1alpha1.RolloutNodeSelector, node *corev1.Node) bool {
	if selector == nil {
		return true
	}
	for key, value := range selector.MatchLabels {
		if got, has := node.Labels[key]; !has || got != value {
			return false
		}
	}
	return true
}

// partitioned returns how many of a number of eligible nodes a partition keeps.
func partitioned(partition *intstr.IntOrString, eligible int) int {
	if partition == nil {
		return 0
	}
	kept, err := intstr.GetScaledValueFromIntOrPercent(partition, eligible, false)
	if err != nil {
		return 0
	}
	return min(kept, eligible)
}

// eligible returns the number of nodes that should run a pod.
func (d *daemon) eligible() (n int) {
	for _, c := range d.cells {
		if c.at.object != nil && c.may.start {
			n++
		}
	}
	return n
}

// stable returns the ControllerRevision of a daemon that is recorded as stable, nil if none is.
func (s *state) stable(d *daemon) (stable *appsv1.ControllerRevision) {
	highest := int64(0)
	for _, record := range s.records {
		if record.gone || ownerOf(record.object) != d.uid {
			continue
		}
		number, err := strconv.ParseInt(record.object.Annotations[v1alpha1.StableAnnotation], 10, 64)
		if err == nil && (number > highest || number == highest && stable != nil && record.object.Revision > stable.Revision) {
			highest, stable = number, record.object
		}
	}
	return stable
}

// judgePartition judges L1: no more nodes are held back than the partition keeps.
func (s *state) judgePartition(d *daemon) {
	rollout := d.spec().rollout
	if rollout == nil || rollout.Paused || rollout.NodeSelector != nil || rollout.Partition == nil || len(rollout.Waves) > 0 || d.spec().onDelete || d.kind != history.DaemonSets || s.stalls(d) {
		return
	}
	held, eligible := 0, d.eligible()
	for _, c := range d.cells {
		if c.at.object != nil && c.may.start && s.alive(c.at.object) && len(c.pods) == 1 && !reflects(d.spec().template, c.pods[0].object) {
			held++
		}
	}
	if kept := partitioned(rollout.Partition, eligible); held > kept {
		s.violated(L1, d.key.String(), "%d of %d nodes are held back, the partition keeps %d", held, eligible, kept)
	}
}
