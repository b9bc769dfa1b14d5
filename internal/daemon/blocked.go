package daemon

import (
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A cell is blocked while its waiting pod has a placement that excludes its node, and that the pod's own template does not
// require: admission added it. The stored pod stays, because it is the record of that: a new one would be changed
// in the same way (S8). The node costs no budget (S4), and a dry run is repeated under back-off to find out how
// admission would change a new pod. The stored pod is replaced when the answer no longer excludes the node.
//
// While any node of a daemon is blocked, an available pod is not given up before a dry run has shown that its node can
// take the successor. Otherwise a policy that is newer than the pods would cost one node after another its pod, each of
// them blocked and so outside of the budget. A node that is found out so is blocked too, with the pod that it has.

// block is the state of a blocked cell.
type block struct {
	pod    types.UID // empty when a dry run foresaw it
	why    unique.Handle[Problem]
	lifted bool // a dry run was not excluded: replace the pod
}

// JudgePlacement records whether a node can ever take the pod that waits for it, and reports whether that
// changed. The function returns the rules of a revision's template, nil if it is not known.
func (c *Cells) JudgePlacement(node *corev1.Node, of func(revision string) *Rules, now time.Time) (changed bool) {
	cell, ok := c.at(node.Name)
	if !ok {
		return false
	}
	pod, why := cell.excluded(node, of)
	if c.terms.suspended {
		pod = nil
	}
	was := cell.blocked
	if pod == nil && was != nil && was.pod == "" {
		return false // what was foreseen is tried again by a dry run
	}
	if pod == nil && was == nil || pod != nil && was != nil && was.pod == pod.UID && was.why == why {
		return false
	}
	cell.blocked = nil
	if pod != nil {
		cell.blocked = &block{pod: pod.UID, why: why}
		if was == nil || was.pod != pod.UID {
			cell.setback().probe(now)
		}
	}
	c.recount(cell, now)
	return true
}

// excluded returns the pod that waits for the node, if admission added a placement to it that excludes the node. A stale pod
// may have that from its own template, which is another one than the verdict is about: it costs budget (S4), and is replaced
// like any other that is not available.
func (c *Cell) excluded(node *corev1.Node, of func(revision string) *Rules) (excluded *Pod, why unique.Handle[Problem]) {
	pod := c.waitingPod()
	if pod == nil || !c.Verdict.ShouldRun {
		return nil, why
	}
	placement := pod.Wait.handle.Value().placement
	if placement == nil {
		return nil, why
	}
	text, excludes := placement.Excludes(node)
	if !excludes || c.stale(pod) && !of(pod.Revision).couldStart(node) {
		return nil, why
	}
	return pod, whyBlocked(text)
}

// couldStart reports whether a pod could start on a node by these rules. Rules that are not known do not say so.
func (r *Rules) couldStart(node *corev1.Node) bool { return r != nil && r.Evaluate(node).ShouldRun }

func whyBlocked(text string) unique.Handle[Problem] {
	return unique.Make(Problem{Reason: v1alpha1.ReasonPlacementExcludesNode, Message: unique.Make(
		"admission added to the pod " + text + "; set the same in spec.template, or change the webhook, policy or plugin that adds it").Value()})
}

// waitingPod returns the best pod that is not bound and still may be.
func (c *Cell) waitingPod() *Pod {
	for _, pod := range c.Pods {
		if !pod.Bound && !pod.runs() && !pod.Terminating && !pod.Finished {
			return pod
		}
	}
	return nil
}

// runs reports whether the containers of a pod have started.
func (p *Pod) runs() bool { return p.Ready || p.Wait == Wait{} }

// unblockGone ends the block of a cell whose pod is gone, or does not wait any more.
func (c *Cell) unblockGone(terms *terms) {
	if c.blocked == nil {
		return
	}
	pod := c.waitingPod()
	if terms.suspended {
		c.blocked = nil
	} else if c.blocked.pod == "" {
		if stale, _, _ := c.standing(); pod == nil && stale != nil && c.Verdict.ShouldRun {
			return
		}
	} else if pod != nil && pod.UID == c.blocked.pod && c.Verdict.ShouldRun {
		return
	}
	c.blocked = nil
}

// Foresee notes what a dry run showed: a node's available pod would be followed by one that could never run there.
func (c *Cells) Foresee(node, why string, now time.Time) {
	if cell, ok := c.at(node); ok && cell.blocked == nil {
		cell.blocked = &block{why: whyBlocked(why)}
		cell.setback().probe(now)
		c.recount(cell, now)
	}
}

// lifts reports whether a pod is to be replaced because a new one would not be excluded from its node.
func (c *Cell) lifts(pod *Pod) bool {
	return c.blocked != nil && c.blocked.lifted && c.blocked.pod == pod.UID
}

// Probe returns the pod that blocks a node, empty if a dry run foresaw it, and when to test by a dry run whether a new one would be excluded;
// false if there is none, or it will be replaced.
func (c *Cells) Probe(node string) (pod types.UID, at time.Time, blocked bool) {
	cell, ok := c.at(node)
	if !ok || cell.blocked == nil || cell.blocked.lifted {
		return "", time.Time{}, false
	}
	if cell.setbacks == nil { // it has another template
		return cell.blocked.pod, time.Time{}, true
	}
	return cell.blocked.pod, cell.setbacks.probeAt, true
}

// Probed records the result of a dry run: excluded, or no answer, delays the next one.
func (c *Cells) Probed(node string, pod types.UID, excluded bool, now time.Time) {
	cell, ok := c.at(node)
	if !ok || cell.blocked == nil || cell.blocked.pod != pod {
		return
	}
	if excluded {
		cell.setback().probe(now)
		return
	}
	if cell.blocked.lifted = true; pod == "" {
		cell.blocked = nil // nothing to replace: it waits for its turn again
	}
	c.recount(cell, now)
}

// Blocked returns the number of blocked nodes, without those whose pod is to be replaced.
func (c *Cells) Blocked() int { return len(c.blocked.byNode) }

// BlockedFirst returns the first of them, at most n.
func (c *Cells) BlockedFirst(n int) []string { return c.blocked.first(n) }

// noteWaiting maintains the blocked nodes, and those whose pods wait.
func (c *Cells) noteWaiting(cell *counted) {
	if cell.blocked != nil && !cell.blocked.lifted {
		c.blocked.set(cell.Node, cell.blocked.why, time.Time{})
	} else {
		c.blocked.clear(cell.Node)
	}
	if pod := cell.waits(); pod != nil && c.down.as[cell.Node] != excused && !c.terms.suspended {
		c.waits.set(cell.Node, pod.Wait.handle.Value().cause, pod.Created)
	} else {
		c.waits.clear(cell.Node)
	}
}

// waits returns the pod whose waiting the conditions report. That of a blocked cell is reported as such.
func (c *Cell) waits() *Pod {
	if c.blocked != nil || !c.Verdict.ShouldRun {
		return nil
	}
	for _, pod := range c.Pods {
		if !pod.runs() && !pod.Terminating && !pod.Finished {
			return pod
		}
	}
	return nil
}
