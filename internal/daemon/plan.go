package daemon

import (
	"fmt"
	"time"
)

// Op is what an Action does.
type Op string

// The operations of a plan.
const (
	Create Op = "Create"
	Delete Op = "Delete"
)

// The reasons of an Action, beside those of a Verdict.
const (
	ReasonMissing      Reason = "Missing"
	ReasonNodeGone     Reason = "NodeGone"
	ReasonNodeReplaced Reason = "NodeReplaced"
	ReasonFinished     Reason = "PodFinished"
	ReasonExcess       Reason = "Excess"
)

// Action is one step of a plan; Reason and Message say why, and feed events and logs.
type Action struct {
	Op      Op
	Slot    int // of Create
	Pod     Pod // of Delete
	Reason  Reason
	Message string
}

// Plan is what to do about a cell now, and when to look again although nothing happened.
type Plan struct {
	Actions []Action
	WakeAt  time.Time // zero: not before something happens
}

// planCell decides in this order: a node that is gone or where the daemon may not stay loses
// its pods; a pod of an earlier incarnation of the node, and one that has finished, is
// replaced; of several pods the best stays; and where none is left, one is made. A pod that
// terminates holds its place until it is gone (S1), so nothing is made beside it.
func planCell(cell *Cell, minReady time.Duration, now time.Time) Plan {
	var plan Plan
	drop := func(pod Pod, reason Reason, format string, args ...any) {
		plan.Actions = append(plan.Actions, Action{Op: Delete, Pod: pod, Reason: reason, Message: fmt.Sprintf(format, args...)})
	}
	standing := ""
	for i := range cell.Pods {
		pod := cell.Pods[i]
		switch {
		case pod.Terminating:
		case cell.NodeUID == "":
			drop(pod, ReasonNodeGone, "node %s is gone", cell.Node)
		case !cell.Verdict.ShouldContinue:
			drop(pod, cell.Verdict.Reason, "%s", cell.Verdict.Message)
		case pod.NodeUID != "" && pod.NodeUID != cell.NodeUID:
			drop(pod, ReasonNodeReplaced, "node %s was deleted and made anew", cell.Node)
		case pod.Finished && now.Before(cell.retryAt):
			plan.wake(cell.retryAt)
		case pod.Finished:
			drop(pod, ReasonFinished, "the pod has finished, and a daemon's pod should run for ever")
		case standing != "":
			drop(pod, ReasonExcess, "node %s has pod %s already", cell.Node, standing)
		default:
			standing = pod.Name
			if pod.Ready && !pod.ReadySince.IsZero() && !pod.available(minReady, now) {
				plan.wake(pod.ReadySince.Add(minReady))
			}
		}
	}
	if len(cell.Pods) == 0 && cell.Verdict.ShouldRun {
		plan.Actions = append(plan.Actions, Action{Op: Create, Slot: 0, Reason: ReasonMissing, Message: cell.Verdict.Message})
	}
	return plan
}

func (p *Plan) wake(at time.Time) {
	if p.WakeAt.IsZero() || at.Before(p.WakeAt) {
		p.WakeAt = at
	}
}
