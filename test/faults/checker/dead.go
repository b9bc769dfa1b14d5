package checker

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// downtime is a time in which the condition Ready of a node was False or Unknown, without a transition.
type downtime struct {
	node  types.UID
	since time.Time // by the condition
	until int       // the index of the record that ended it; -1 while it lasts
}

// noteDown records whether a node is down.
func (n *node) noteDown(object *corev1.Node, gone bool, at int) {
	since, down := downSince(object)
	last := len(n.downs) - 1
	if last >= 0 && n.downs[last].until < 0 {
		if was := n.downs[last]; down && !gone && was.node == object.UID && was.since.Equal(since) {
			return
		}
		n.downs[last].until = at
	}
	if down && !gone {
		n.downs = append(n.downs, downtime{object.UID, since, -1})
	}
}

func downSince(object *corev1.Node) (since time.Time, down bool) {
	for i := range object.Status.Conditions {
		if c := &object.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c.LastTransitionTime.Time, c.Status != corev1.ConditionTrue
		}
	}
	return since, false
}

// deadAfter returns how long a node must be down to be dead; false if dead nodes cost like all others.
func (s *spec) deadAfter() (after time.Duration, excludes bool) {
	if s.rollout == nil {
		return 0, false
	}
	after, dead := time.Minute, s.rollout.DeadNodes
	if dead == nil {
		return after, true
	}
	if dead.AfterSeconds != 0 {
		after = time.Duration(dead.AfterSeconds) * time.Second
	}
	return after, dead.Policy != v1alpha1.DeadNodesCount
}

// mayBeDead reports whether a node was dead in some state of a window, and may have seemed to have no pod of the update revision that was
// bound before it was down.
func (c *cell) mayBeDead(s *state, w window) bool {
	if c.daemon.kind != history.DaemonSets {
		return false
	}
	for _, spec := range c.daemon.specsSince(w.from) {
		after, excludes := spec.deadAfter()
		if excludes && slices.ContainsFunc(c.at.downs, func(d downtime) bool {
			return (d.until < 0 || d.until >= w.from) && !d.since.Add(after).After(s.now) && !c.updatedBefore(s, spec, d, w)
		}) {
			return true
		}
	}
	return false
}

// updatedBefore reports whether a pod of a spec's template had been bound before a node was down, in all states of a window, and another
// template was stable in all of them.
func (c *cell) updatedBefore(s *state, spec *spec, down downtime, w window) bool {
	stable := s.stable(c.daemon)
	for _, record := range s.records {
		if ownerOf(record.object) == c.daemon.uid && record.changed >= w.from {
			return false
		}
	}
	return stable != nil && slices.ContainsFunc(c.pods, func(p *pod) bool {
		return p.bound() && p.at < w.from && p.boundAt < w.from && !c.fromFormerNode(p) && reflects(spec.template, p.object) &&
			stable.Labels[appsv1.ControllerRevisionHashLabelKey] != p.revision() && p.boundTime().Unix() <= down.since.Unix()
	})
}

// boundTime is when a pod was bound, as the pod itself says.
func (p *pod) boundTime() time.Time {
	for i := range p.object.Status.Conditions {
		if c := &p.object.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return p.object.CreationTimestamp.Time
}

// stalls reports whether dead nodes are a reason that a rollout does not end: there are too many, or those that died after their update cost
// everything that may be unavailable.
func (s *state) stalls(d *daemon) bool {
	spec := d.spec()
	after, excludes := spec.deadAfter()
	dead, cost, eligible := 0, 0, 0
	now := window{from: s.at, at: s.now}
	for _, c := range d.cells {
		if c.at.object == nil || !c.may.start {
			continue
		}
		eligible++
		since, down := downSince(c.at.object)
		if down && !since.Add(after).After(s.now) {
			dead++
		}
		if down && !c.mayBeDead(s, now) {
			cost++
		}
	}
	unavailable, surge := spec.allowed(eligible)
	if cost > 0 && cost >= max(unavailable, surge) {
		return true
	}
	if !excludes {
		return false
	}
	share := intstr.FromString("25%")
	if of := spec.rollout.DeadNodes; of != nil && of.MaxShare != nil {
		share = *of.MaxShare
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(&share, eligible, false)
	return err == nil && dead > most
}
