package daemon

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Reasons of conditions, besides those of problems.
const (
	reasonNoNodes      = v1alpha1.ReasonNoEligibleNodes
	reasonAllAvailable = v1alpha1.ReasonAllNodesAvailable
	reasonWithinLimit  = v1alpha1.ReasonWithinMaxUnavailable
	reasonUnavailable  = v1alpha1.ReasonNodesUnavailable
	reasonRollingOut   = v1alpha1.ReasonRollingOut
	reasonWaitsForUser = v1alpha1.ReasonOnDelete
	reasonPodsMissing  = v1alpha1.ReasonPodsMissing
	reasonComplete     = v1alpha1.ReasonComplete
	reasonPaused       = v1alpha1.ReasonPaused
	reasonHeld         = v1alpha1.ReasonHeld
	reasonTooManyDead  = v1alpha1.ReasonTooManyDeadNodes
	reasonSoaking      = v1alpha1.ReasonSoaking
	reasonApproval     = v1alpha1.ReasonAwaitingApproval
	reasonAsExpected   = v1alpha1.ReasonAsExpected
	reasonPodsPending  = v1alpha1.ReasonPodsPending
	reasonSuspended    = v1alpha1.ReasonSuspended
)

// waitPatience is how long a pod may wait for its scheduler before that is a problem: preemption, and
// terminating pods, take some seconds, and tools that use kstatus stop waiting when a DaemonSet stalls.
const waitPatience = time.Minute

// Health is the input of a daemon's conditions. They take every number from Counters, which the same status
// contains, so that a number has one meaning in one status.
type Health struct {
	Counters
	OnDelete       bool
	Suspended      bool
	MaxUnavailable int
	// Unavailable are the first nodes, by name, that Counters count as unavailable.
	Unavailable []string
	Problems    map[string]Problem // by node
	NotRecorded *Problem           // why the current template is no target yet; nil when it is one
	Rollout     *RolloutHealth     // nil without a rollout
	Closed      *Closure           // why no pod is replaced; nil unless the rollout is closed
	Now         time.Time
	// ReportsWaiting is Kind.ReportsWaiting. Otherwise only messages name waiting pods.
	ReportsWaiting bool

	Dead DeadHealth

	// Waiting and Excluded are nodes whose pods wait, and blocked nodes, by cause.
	Waiting, Excluded []ProblemGroup
}

// Health returns a daemon's health; the caller adds its problems, the time, and whether it reports waiting pods.
func (c *Cells) Health() Health {
	maxUnavailable, _ := c.rollout.strategy.limits(c.sums.Desired)
	health := Health{Counters: c.sums, OnDelete: c.rollout.strategy.OnDelete, Suspended: c.rollout.strategy.Suspended, MaxUnavailable: maxUnavailable,
		Waiting: c.waits.groups(), Excluded: c.blocked.groups(), Dead: c.deadHealth()}
	if c.unavailable != nil {
		c.unavailable.Ascend(func(node string) bool {
			health.Unavailable = append(health.Unavailable, node)
			return len(health.Unavailable) < shownNodes
		})
	}
	return health
}

// Conditions returns Available, Progressing and Degraded always, and Reconciling and Stalled while they are
// true, for tools that only use kstatus (sigs.k8s.io/cli-utils pkg/kstatus). None of them has a time.
func (h *Health) Conditions() []metav1.Condition {
	conditions := []metav1.Condition{h.available(), h.progressing(), h.degraded()}
	for i, abnormal := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if of := conditions[i+1]; of.Status == metav1.ConditionTrue {
			of.Type = abnormal
			conditions = append(conditions, of)
		}
	}
	return conditions
}

func condition(kind string, status bool, reason, format string, args ...any) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
	if status {
		c.Status = metav1.ConditionTrue
	}
	return c
}

func (h *Health) available() metav1.Condition {
	const kind = v1alpha1.ConditionAvailable
	have := fmt.Sprintf("%d of %d nodes have an available pod%s", h.Available, h.Desired, h.excused())
	switch without := h.without(); {
	case h.Suspended:
		return condition(kind, true, reasonSuspended, "%s", h.suspended())
	case h.Desired == 0:
		return condition(kind, true, reasonNoNodes, "no node is eligible")
	case without == 0 && h.Available > 0:
		return condition(kind, true, reasonAllAvailable, "%s", have)
	case without == 0:
		return condition(kind, false, reasonUnavailable, "%s", have)
	case without <= h.MaxUnavailable && h.Available > 0:
		return condition(kind, true, reasonWithinLimit, "%s, %d may be without; without: %s", have, h.MaxUnavailable, h.unavailable())
	}
	return condition(kind, false, reasonUnavailable, "%s; without: %s", have, h.unavailable())
}

// without is the number of nodes without an available pod that are not excused (S4).
func (h *Health) without() int { return h.Desired - h.Available - h.Excused }

func (h *Health) excused() string {
	blocked := 0
	for i := range h.Excluded {
		blocked += h.Excluded[i].Total
	}
	text := ""
	if blocked > 0 {
		text = fmt.Sprintf(", and %d are blocked", blocked)
	}
	if n := h.Without[causeDeadNode]; n > 0 {
		text += fmt.Sprintf(", and %d are dead", n)
	}
	return text
}

func (h *Health) progressing() metav1.Condition {
	const kind = v1alpha1.ConditionProgressing
	have := fmt.Sprintf("%d of %d nodes have a pod of the current template%s%s", h.Updated, h.Desired, h.excused(), h.left())
	unscheduled := h.describeWaiting(h.unscheduled())
	behind := h.Desired - h.Updated - h.ExcusedBehind - h.Held + h.Astray
	gate := h.Rollout.gate()
	switch {
	case h.Suspended:
		return condition(kind, false, reasonSuspended, "%s", h.suspended())
	case h.Current < h.Desired:
		return condition(kind, true, reasonPodsMissing, "%d of %d nodes have a pod; without an available one: %s%s", h.Current, h.Desired, h.unavailable(), unscheduled)
	case h.paused() && (behind > 0 || !h.Rollout.complete()):
		return condition(kind, false, reasonPaused, "%s%s; the rollout is paused%s", have, h.held(), unscheduled)
	case h.closes(behind):
		return condition(kind, false, h.Closed.Reason, "%s%s; %s%s", have, h.held(), h.Closed.Message, unscheduled)
	case behind > 0 && h.OnDelete:
		return condition(kind, false, reasonWaitsForUser, "%s; the strategy is OnDelete: the others get one when theirs is deleted%s", have, unscheduled)
	case h.Dead.Halts:
		return condition(kind, false, reasonTooManyDead, "%s%s; %s%s", have, h.held(), h.Dead.halts(), unscheduled)
	case behind > 0 && len(h.overdue()) > 0 && h.ReportsWaiting:
		return condition(kind, true, reasonPodsPending, "%s%s", have, unscheduled)
	case behind > 0:
		return condition(kind, true, reasonRollingOut, "%s%s", have, unscheduled)
	case h.Pending > 0 && h.ReportsWaiting:
		return condition(kind, true, reasonPodsPending, "%s; on %d none has started%s", have, h.Pending, h.describeWaiting(h.Waiting))
	case gate.Phase != "":
		return condition(kind, gate.Phase == v1alpha1.RolloutSoaking, gateReasons[gate.Phase], "%s%s; %s%s", have, h.held(), gate.Why, unscheduled)
	case h.Rollout.restricts(h.Desired) && (h.Rollout.Wave == nil || h.Lagging == 0):
		return condition(kind, false, reasonHeld, "%s%s: %s%s", have, h.held(), h.Rollout.Hold.why(), unscheduled)
	case !h.Rollout.complete():
		return condition(kind, true, reasonRollingOut, "%s%s; the rollout is complete when all of them are available%s", have, h.held(), unscheduled)
	}
	return condition(kind, false, reasonComplete, "%s%s", have, unscheduled)
}

// gateReasons are the reasons for what an open wave waits for.
var gateReasons = map[v1alpha1.RolloutPhase]string{
	v1alpha1.RolloutSoaking: reasonSoaking, v1alpha1.RolloutAwaitingApproval: reasonApproval, v1alpha1.RolloutHeld: reasonHeld,
}

// suspended tells how far a suspended DaemonSet is.
func (h *Health) suspended() string {
	if h.Misscheduled == 0 {
		return suspended + ", and no node has a pod"
	}
	return fmt.Sprintf("%s; %d nodes still have a pod", suspended, h.Misscheduled)
}

// unscheduled returns the causes that a scheduler gave.
func (h *Health) unscheduled() (groups []ProblemGroup) {
	for _, group := range h.Waiting {
		if group.Reason == reasonUnschedulable {
			groups = append(groups, group)
		}
	}
	return groups
}

// overdue returns the causes that nodes have waited for longer than usual.
func (h *Health) overdue() []ProblemGroup {
	return slices.DeleteFunc(h.unscheduled(), func(group ProblemGroup) bool { return h.Now.Sub(group.Since) < waitPatience })
}

// LookAgain is when the conditions change without an event; zero if they do not.
func (h *Health) LookAgain() (at time.Time) {
	for _, group := range h.unscheduled() {
		overdue := group.Since.Add(waitPatience)
		if overdue.After(h.Now) && (at.IsZero() || overdue.Before(at)) {
			at = overdue
		}
	}
	return at
}

func (h *Health) describeWaiting(groups []ProblemGroup) string {
	if len(groups) == 0 {
		return ""
	}
	return "; pods wait: " + describeGroups(groups)
}

func (h *Health) degraded() metav1.Condition {
	const kind = v1alpha1.ConditionDegraded
	if h.NotRecorded != nil {
		return condition(kind, true, h.NotRecorded.Reason, "%s", h.NotRecorded.Message)
	}
	groups := slices.Concat(groupProblems(h.Problems), h.Excluded)
	if h.ReportsWaiting {
		groups = append(groups, h.overdue()...)
	}
	if len(groups) > 0 {
		sortGroups(groups)
		return condition(kind, true, groups[0].Reason, "%s", describeGroups(groups))
	}
	if waiting := h.unscheduled(); len(waiting) > 0 && h.ReportsWaiting {
		return condition(kind, false, reasonPodsPending, "pods wait for room: %s", describeGroups(waiting))
	}
	return condition(kind, false, reasonAsExpected, "nothing prevents pods from being created")
}

// unavailable lists the first nodes without an available pod, and how many more there are.
func (h *Health) unavailable() string { return list(h.Unavailable, h.without()) }
