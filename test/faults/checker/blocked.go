package checker

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/test/faults/history"
)

// excuse records that the cell is blocked, before and after each change of it.
func (c *cell) excuse(s *state) {
	if c.blocked() {
		c.excusedAt = s.at
	}
}

// blocked reports whether a pod waits for the node that can never take it, because other admission added placement to it.
// Only everynode.dev excuses such nodes.
func (c *cell) blocked() bool {
	if c.daemon.kind != history.DaemonSets || c.at.object == nil || !c.may.start {
		return false
	}
	return slices.ContainsFunc(c.pods, func(p *pod) bool {
		if p.bound() || !p.live() || fits(p.object, c.at.object) {
			return false
		}
		return p.couldRun(c.at.object)
	})
}

// excusable reports whether the cell was blocked in a state of a window, or may have seemed to be: a sender may have seen a
// pod as it was before it was bound, and the node as it is, because they come by different watches.
func (c *cell) excusable(w window) bool {
	if c.excusedAt >= w.from || c.blocked() {
		return true
	}
	if c.daemon.kind != history.DaemonSets {
		return false
	}
	return slices.ContainsFunc(c.pods, func(p *pod) bool {
		waited := p.live() && (!p.bound() || p.boundAt >= w.from)
		return waited && slices.ContainsFunc(c.at.states(w.from), func(node *corev1.Node) bool { return !fits(p.object, node) && p.couldRun(node) })
	})
}

// couldRun reports whether a node could take the pod as it was sent, as far as that is known: what excludes it was added.
func (p *pod) couldRun(node *corev1.Node) bool {
	sent, known := p.sent()
	if !known {
		return true
	}
	alone := sent.DeepCopy()
	alone.Spec.NodeName = ""
	return fits(alone, node)
}

// sent returns the pod as its creator sent it.
func (p *pod) sent() (sent *corev1.Pod, known bool) {
	if p.created == nil {
		return nil, false
	}
	sent, known = p.created.Object.(*corev1.Pod)
	return sent, known && sent != nil
}
