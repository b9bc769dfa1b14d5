package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Reasons of conditions, beside those of problems.
const (
	reasonNoNodes       = "NoEligibleNodes"
	reasonAllAvailable  = "AllNodesAvailable"
	reasonWithinLimit   = "WithinMaxUnavailable"
	reasonUnavailable   = "NodesUnavailable"
	reasonRollingOut    = "RollingOut"
	reasonWaitsForUser  = "OnDelete"
	reasonPodsMissing   = "PodsMissing"
	reasonComplete      = "Complete"
	reasonAsExpected    = "AsExpected"
	shownNodes          = 3
	shownProblemMessage = 200
)

// Problem is why a cell does not come to be as it should.
type Problem struct {
	Reason  string // of the event that told of it
	Message string
}

// Health is what a daemon's conditions are made of.
type Health struct {
	Counters
	OnDelete       bool
	MaxUnavailable int
	// Lacking are the first nodes that should run a pod and have no available one, by name.
	Lacking []string
	// Lack is how many there are.
	Lack     int
	Problems map[string]Problem // by node
}

// Health is a daemon's; the caller adds its problems.
func (c *Cells) Health() Health {
	maxUnavailable, _ := c.rollout.strategy.limits(c.sums.Desired)
	health := Health{
		Counters: c.sums, OnDelete: c.rollout.strategy.OnDelete, MaxUnavailable: maxUnavailable,
		Lack: c.sums.Desired - c.rollout.serving,
	}
	if c.rollout.lacking != nil {
		c.rollout.lacking.Ascend(func(node string) bool {
			health.Lacking = append(health.Lacking, node)
			return len(health.Lacking) < shownNodes
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
	have := fmt.Sprintf("%d of %d nodes have an available pod", h.Desired-h.Lack, h.Desired)
	switch {
	case h.Desired == 0:
		return condition(kind, true, reasonNoNodes, "no node is eligible")
	case h.Lack == 0:
		return condition(kind, true, reasonAllAvailable, "%s", have)
	case h.Lack <= h.MaxUnavailable && h.Lack < h.Desired:
		return condition(kind, true, reasonWithinLimit, "%s, %d may be without; without: %s", have, h.MaxUnavailable, h.lacking())
	}
	return condition(kind, false, reasonUnavailable, "%s; without: %s", have, h.lacking())
}

func (h *Health) progressing() metav1.Condition {
	const kind = v1alpha1.ConditionProgressing
	have := fmt.Sprintf("%d of %d nodes have a pod of the current template", h.Updated, h.Desired)
	switch {
	case h.Current < h.Desired:
		return condition(kind, true, reasonPodsMissing, "%d of %d nodes have a pod; without an available one: %s", h.Current, h.Desired, h.lacking())
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
	nodes := slices.Sorted(maps.Keys(h.Problems))
	first := h.Problems[nodes[0]]
	message := first.Message
	if len(message) > shownProblemMessage {
		message = strings.ToValidUTF8(message[:shownProblemMessage], "") + "…"
	}
	return condition(kind, true, first.Reason, "%s: %s", list(nodes, len(nodes)), message)
}

// lacking names the first nodes without an available pod, and how many more there are.
func (h *Health) lacking() string { return list(h.Lacking, h.Lack) }

func list(nodes []string, total int) string {
	shown := nodes[:min(shownNodes, len(nodes))]
	text := strings.Join(shown, ", ")
	if more := total - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
