package daemon

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Reasons of conditions, beside those of problems.
const (
	reasonNoNodes      = v1alpha1.ReasonNoEligibleNodes
	reasonAllAvailable = v1alpha1.ReasonAllNodesAvailable
	reasonWithinLimit  = v1alpha1.ReasonWithinMaxUnavailable
	reasonUnavailable  = v1alpha1.ReasonNodesUnavailable
	reasonRollingOut   = v1alpha1.ReasonRollingOut
	reasonWaitsForUser = v1alpha1.ReasonOnDelete
	reasonPodsMissing  = v1alpha1.ReasonPodsMissing
	reasonComplete     = v1alpha1.ReasonComplete
	reasonAsExpected   = v1alpha1.ReasonAsExpected
)

// Health is what a daemon's conditions are made of. They take every number from Counters, which the
// status shows beside them: a number means one thing in one status.
type Health struct {
	Counters
	OnDelete       bool
	MaxUnavailable int
	// Unavailable are the first nodes, by name, of those that Counters count as unavailable.
	Unavailable []string
	Problems    map[string]Problem // by node
}

// Health is a daemon's; the caller adds its problems.
func (c *Cells) Health() Health {
	maxUnavailable, _ := c.rollout.strategy.limits(c.sums.Desired)
	health := Health{Counters: c.sums, OnDelete: c.rollout.strategy.OnDelete, MaxUnavailable: maxUnavailable}
	if c.unavailable != nil {
		c.unavailable.Ascend(func(node string) bool {
			health.Unavailable = append(health.Unavailable, node)
			return len(health.Unavailable) < shownNodes
		})
	}
	return health
}

// Conditions say in a user's words how a daemon is: Available, Progressing and Degraded always,
// and, for tools that know no more than kstatus does (sigs.k8s.io/cli-utils pkg/kstatus),
// Reconciling and Stalled while they are true. None of them has a time.
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
	have := fmt.Sprintf("%d of %d nodes have an available pod", h.Available, h.Desired)
	switch {
	case h.Desired == 0:
		return condition(kind, true, reasonNoNodes, "no node is eligible")
	case h.Available == h.Desired:
		return condition(kind, true, reasonAllAvailable, "%s", have)
	case h.Desired-h.Available <= h.MaxUnavailable && h.Available > 0:
		return condition(kind, true, reasonWithinLimit, "%s, %d may be without; without: %s", have, h.MaxUnavailable, h.unavailable())
	}
	return condition(kind, false, reasonUnavailable, "%s; without: %s", have, h.unavailable())
}

func (h *Health) progressing() metav1.Condition {
	const kind = v1alpha1.ConditionProgressing
	have := fmt.Sprintf("%d of %d nodes have a pod of the current template", h.Updated, h.Desired)
	switch {
	case h.Current < h.Desired:
		return condition(kind, true, reasonPodsMissing, "%d of %d nodes have a pod; without an available one: %s", h.Current, h.Desired, h.unavailable())
	case h.Updated < h.Desired && h.OnDelete:
		return condition(kind, false, reasonWaitsForUser, "%s; the strategy is OnDelete: the others get one when theirs is deleted", have)
	case h.Updated < h.Desired:
		return condition(kind, true, reasonRollingOut, "%s", have)
	}
	return condition(kind, false, reasonComplete, "%s", have)
}

func (h *Health) degraded() metav1.Condition {
	const kind = v1alpha1.ConditionDegraded
	if len(h.Problems) == 0 {
		return condition(kind, false, reasonAsExpected, "nothing keeps pods from being made")
	}
	reason, message := describeProblems(h.Problems)
	return condition(kind, true, reason, "%s", message)
}

// unavailable names the first nodes without an available pod, and how many more there are.
func (h *Health) unavailable() string { return list(h.Unavailable, h.Desired-h.Available) }
