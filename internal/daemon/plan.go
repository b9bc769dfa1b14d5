package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Op is the operation of an Action.
type Op string

// The operations of a plan.
const (
	Create Op = "Create"
	Delete Op = "Delete"
)

// The reasons of an Action, besides those of a Verdict.
const (
	ReasonMissing      Reason = "Missing"
	ReasonNodeGone     Reason = "NodeGone"
	ReasonNodeReplaced Reason = "NodeReplaced"
	ReasonFinished     Reason = "PodFinished"
	ReasonExcess       Reason = "Excess"
	ReasonOutdated     Reason = "Outdated"
	ReasonHandedOver   Reason = "HandedOver"
	ReasonSurge        Reason = "Surge"
	ReasonUnblocked    Reason = "Unblocked"
	ReasonSuspended    Reason = "Suspended"
)

// Action is one step of a plan; Reason and Message explain it, and appear in events and logs.
type Action struct {
	Op       Op
	Pod      Pod    // of Delete
	Revision string // of Create: the cell's target, which the new pod gets
	// IfUnchanged: delete only a pod that is still as it was seen. A pod that was not available may have become
	// so, and then the reason does not hold any more (S4).
	IfUnchanged bool
	// TryFirst: delete only if a dry run shows that the node can take the successor, else Foresee.
	TryFirst bool
	// AskOwner, of Create: a pod of the cell vanished. The DaemonSet may be gone while the watch does not show
	// it yet: read it from the API server first.
	AskOwner bool
	Reason   Reason
	Message  string
	// Why is Message without node-specific parts: one event may describe many pods.
	Why string
}

// Plan is what to do about a cell now, and when to plan again without an event.
type Plan struct {
	Actions []Action
	// Doubts are pods whose delete was sent and never answered. They have to be read from the API server before
	// anything is planned (Kept, Deleted).
	Doubts []*Pod
	// Missed: a pod was requested a while ago and not seen. It has to be read from the API server before anything is
	// planned (Made, Unmade).
	Missed bool
	WakeAt time.Time // zero: only on an event
}

// Asks reports whether something has to be read from the API server first.
func (p *Plan) Asks() bool { return len(p.Doubts) > 0 || p.Missed }

// planCell decides in this order. A node that is gone, or that the daemon must leave, loses its pods; if the daemon is
// suspended, when it may. A pod of an earlier incarnation of the node, and one that has finished, is replaced. Of
// several pods the best stays, or while the rollout surges the best stale one and the best of the target. A stale pod
// is replaced when the rollout granted it. If no pod is left, one of the target is created. A terminating pod holds its place until
// it is gone (S1), so nothing is created beside it unless the rollout surges, or it has finished.
func planCell(cell *Cell, terms *terms, now time.Time) Plan {
	plan := &planner{cell: cell, terms: terms, now: now}
	stale, fresh, _ := cell.standing()
	if stale != nil && fresh != nil && (!terms.surges || !cell.Verdict.ShouldRun || keepsAway(stale, fresh)) {
		stale, fresh = nil, nil // the best of all stays, whatever its revision
	}
	stays := ""
	for _, pod := range cell.Pods {
		switch {
		case pod.Terminating:
		case cell.NodeUID == "":
			plan.drop(pod, ReasonNodeGone, "its node is gone", "node %s is gone", cell.Node)
		case !cell.Verdict.ShouldContinue:
			plan.drop(pod, cell.Verdict.Reason, strings.ReplaceAll(cell.Verdict.Message, "node "+cell.Node+" ", "its node "), "%s", cell.Verdict.Message)
		case pod.fromFormerNode(cell.NodeUID):
			plan.drop(pod, ReasonNodeReplaced, "its node was deleted and created again", "node %s was deleted and created again", cell.Node)
		case terms.suspended:
			plan.end(pod)
		case !pod.Bound && cell.Verdict.closesToWaiting():
			plan.drop(pod, cell.Verdict.Reason, "it waits for a node that its RuntimeClass keeps it off", "%s", cell.Verdict.Message)
			plan.last().IfUnchanged = true // it may have been bound
		case cell.lifts(pod):
			plan.drop(pod, ReasonUnblocked, unblocked, unblocked)
			plan.last().IfUnchanged = true
		case pod.Finished && now.Before(cell.retryAt()):
			plan.wake(cell.retryAt())
		case pod.Finished:
			plan.drop(pod, ReasonFinished, finished, finished)
		case stays != "" && pod != stale && pod != fresh:
			plan.drop(pod, ReasonExcess, "its node has another pod already", "node %s has pod %s already", cell.Node, stays)
			plan.last().IfUnchanged = !terms.available(pod, now) // it may have become available, and the other one not (S4)
		default:
			stays = pod.Name
			plan.wakeWhenAvailable(pod)
		}
	}
	if terms.suspended {
		return plan.Plan
	}
	plan.roll(stale, fresh)
	switch {
	case !cell.Verdict.ShouldRun:
	case !cell.held():
		plan.make(ReasonMissing, cell.Verdict.Message, cell.Verdict.Message)
	case terms.surges && cell.staleEnds():
		plan.make(ReasonSurge, "the former pod is terminating, and the daemon surges", fmt.Sprintf("pod %s of revision %s is terminating, and the daemon surges", cell.Pods[0].Name, cell.Pods[0].Revision))
	}
	return plan.Plan
}

// staleEnds reports whether the only pod of a cell is a stale pod that is terminating. A new one may run beside
// it (S1), and if the daemon surges the node does not wait for its end.
func (c *Cell) staleEnds() bool {
	return len(c.Pods) == 1 && c.Pods[0].Terminating && c.stale(c.Pods[0]) && !c.Pods[0].fromFormerNode(c.NodeUID)
}

// keepsAway reports whether a serving pod prevents one of the target from ever being bound: that one was
// created for a cell that seemed empty, by a controller that did not know of the other, and not to surge.
func keepsAway(stale, fresh *Pod) bool {
	return stale.Bound && stale.Ready && !fresh.Bound && !fresh.Surges && fresh.NodeUID != ""
}

// held reports whether a pod holds the cell's place.
func (c *Cell) held() bool { return slices.ContainsFunc(c.Pods, (*Pod).holds) }

// holds reports whether a pod holds its place. One that has finished and is terminating runs nothing any more,
// however long a finalizer keeps it.
func (p *Pod) holds() bool { return !p.Finished || !p.Terminating }

const unblocked = "admission would no longer exclude a new pod from its node"

const finished = "the pod has finished, and a daemon's pod must keep running"

// planner builds a plan.
type planner struct {
	Plan
	cell  *Cell
	terms *terms
	now   time.Time
}

func (p *planner) drop(pod *Pod, reason Reason, why, format string, args ...any) {
	p.Actions = append(p.Actions, Action{Op: Delete, Pod: *pod, Reason: reason, Message: fmt.Sprintf(format, args...), Why: why})
}

// make requests a pod, unless the cell already has two (S1).
func (p *planner) make(reason Reason, why, message string) {
	if at := p.cell.makeAt(); p.now.Before(at) {
		p.wake(at)
		return
	}
	holding := 0
	for _, pod := range p.cell.Pods {
		if pod.holds() {
			holding++
		}
	}
	if holding < 2 {
		p.Actions = append(p.Actions, Action{Op: Create, Revision: p.cell.Target(), AskOwner: p.cell.vanished, Reason: reason, Message: message, Why: why})
	}
}

// roll replaces a stale pod. During a surge the new pod comes first, and the stale one is deleted once the new
// one is available or when it is not ready itself.
func (p *planner) roll(stale, fresh *Pod) {
	if stale == nil {
		return
	}
	permit := p.cell.granted
	because := fmt.Sprintf("its revision is %s, the target is %s", stale.Revision, p.cell.Target())
	switch {
	case fresh != nil && !stale.Ready:
		p.drop(stale, ReasonOutdated, because, "%s; it is not ready, and pod %s exists", because, fresh.Name)
		p.last().IfUnchanged = true
	case p.terms.available(fresh, p.now):
		p.drop(stale, ReasonHandedOver, because, "%s; pod %s is available", because, fresh.Name)
	case fresh != nil || permit == nil || permit.pod != stale.UID:
	case permit.closed:
		p.drop(stale, ReasonOutdated, because, "%s; %s", because, permit.note)
	case p.terms.surges && stale.Ready:
		why := "the target is " + p.cell.Target()
		p.make(ReasonSurge, why, why+"; "+permit.note)
	default:
		p.drop(stale, ReasonOutdated, because, "%s; %s", because, permit.note)
		p.last().IfUnchanged = !p.terms.serves(stale, p.now)
		p.last().TryFirst = p.terms.wary && !p.last().IfUnchanged
	}
}

func (p *planner) last() *Action { return &p.Actions[len(p.Actions)-1] }

func (p *planner) wakeWhenAvailable(pod *Pod) {
	if pod.Ready && !pod.ReadySince.IsZero() && !p.terms.available(pod, p.now) {
		p.wake(pod.ReadySince.Add(p.terms.minReady))
	}
}

func (p *Plan) wake(at time.Time) {
	if p.WakeAt.IsZero() || at.Before(p.WakeAt) {
		p.WakeAt = at
	}
}
