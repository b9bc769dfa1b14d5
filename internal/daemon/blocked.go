package daemon

import (
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A cell is blocked while the pod that waits there has a placement that excludes its node. The template does not ask
// for it, so admission added it. The stored pod stays, for it is the record of that: a new one would be changed in the
// same way (S8). The node costs no budget (S4), and now and then a dry run shows what admission would do to a new pod.
// The stored pod is replaced when the answer no longer excludes the node.

// block is what is known of a blocked cell.
type block struct {
	pod    types.UID
	why    unique.Handle[Problem]
	lifted bool // a dry run was not excluded: the pod is replaced
}

// JudgePlacement notes whether a node can ever take the pod that waits for it, and reports whether that is news.
func (c *Cells) JudgePlacement(node *corev1.Node, now time.Time) (changed bool) {
	cell, ok := c.at(node.Name)
	if !ok {
		return false
	}
	pod, why := cell.excluded(node)
	was := cell.blocked
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

// excluded is the pod that waits for the node, when its placement excludes the node.
func (c *Cell) excluded(node *corev1.Node) (excluded *Pod, why unique.Handle[Problem]) {
	pod := c.waitingPod()
	if pod == nil || pod.runs() || !c.Verdict.ShouldRun {
		return nil, why
	}
	placement := pod.Wait.handle.Value().placement
	if placement == nil {
		return nil, why
	}
	text, excludes := placement.Excludes(node)
	if !excludes {
		return nil, why
	}
	return pod, unique.Make(Problem{Reason: v1alpha1.ReasonPlacementExcludesNode, Message: unique.Make(
		"admission gave the pod " + text + "; ask for the same in spec.template, or change the webhook, policy or plugin that adds it").Value()})
}

// waitingPod is the best pod of those that are not bound and may be.
func (c *Cell) waitingPod() *Pod {
	for _, pod := range c.Pods {
		if !pod.Bound && !pod.Terminating && !pod.Finished {
			return pod
		}
	}
	return nil
}

// runs reports whether the containers of a pod have started.
func (p *Pod) runs() bool { return p.Wait == Wait{} }

// unblockGone ends the block of a cell whose pod is gone, or does not wait any more.
func (c *Cell) unblockGone() {
	if c.blocked == nil {
		return
	}
	if pod := c.waitingPod(); pod == nil || pod.UID != c.blocked.pod || !c.Verdict.ShouldRun {
		c.blocked = nil
	}
}

// lifts reports whether a pod is to be replaced because a new one would not be excluded from its node.
func (c *Cell) lifts(pod *Pod) bool {
	return c.blocked != nil && c.blocked.lifted && c.blocked.pod == pod.UID
}

// Probe is the pod that blocks a node and when to try by a dry run whether a new one would; false when there is none,
// or it is to be replaced already.
func (c *Cells) Probe(node string) (pod types.UID, at time.Time, blocked bool) {
	cell, ok := c.at(node)
	if !ok || cell.blocked == nil || cell.blocked.lifted {
		return "", time.Time{}, false
	}
	if cell.setbacks == nil { // its template is another one
		return cell.blocked.pod, time.Time{}, true
	}
	return cell.blocked.pod, cell.setbacks.probeAt, true
}

// Probed notes what a dry run showed: excluded, or no answer, has the next one wait longer.
func (c *Cells) Probed(node string, pod types.UID, excluded bool, now time.Time) {
	cell, ok := c.at(node)
	if !ok || cell.blocked == nil || cell.blocked.pod != pod {
		return
	}
	if excluded {
		cell.setback().probe(now)
		return
	}
	cell.blocked.lifted = true
	c.recount(cell, now)
}

// Blocked is the number of blocked nodes.
func (c *Cells) Blocked() int { return len(c.blocked.byNode) }

// noteWaiting keeps the nodes that are blocked, and those whose pods wait.
func (c *Cells) noteWaiting(cell *counted) {
	if cell.blocked != nil {
		c.blocked.set(cell.Node, cell.blocked.why, time.Time{})
	} else {
		c.blocked.clear(cell.Node)
	}
	if pod := cell.waits(); pod != nil {
		c.waits.set(cell.Node, pod.Wait.handle.Value().cause, pod.Created)
	} else {
		c.waits.clear(cell.Node)
	}
}

// waits is the pod whose waiting the conditions report. That of a blocked cell is reported as such.
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
