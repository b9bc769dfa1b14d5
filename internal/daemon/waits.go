package daemon

import (
	"regexp"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Wait is why a pod has not started. It is one pointer, because many pods wait for the same reason; it is zero
// for a pod that has started, which is nearly every pod.
type Wait struct{ handle unique.Handle[wait] }

type wait struct {
	cause     unique.Handle[Problem]
	placement *Placement // for a pod that is not bound; nil if it is not judged
}

// Equal reports whether two pods wait for the same reason.
func (w Wait) Equal(other Wait) bool { return w == other }

// ObserveWait returns why a pod that is pinned to a node waits. Without placements its placement is not judged.
func ObserveWait(pod *corev1.Pod, node string, placements *Placements) Wait {
	cause, waits := causeOfWait(pod, node)
	if !waits {
		return Wait{}
	}
	why := wait{cause: cause}
	if placements != nil && pod.Spec.NodeName == "" {
		why.placement = placements.Of(pod, node)
	}
	return Wait{unique.Make(why)}
}

// The reasons of waiting. They are reasons of a condition, so none is copied from a pod.
const (
	reasonUnschedulable = v1alpha1.ReasonUnschedulable
	waitsForScheduler   = "NotScheduled"
	waitsForKubelet     = "NotStarted"
)

// shownWait bounds a scheduler's message, because users who may write the status of a pod decide its length.
const shownWait = 500

var (
	notScheduled = unique.Make(Problem{Reason: waitsForScheduler, Message: "no scheduler has answered yet"})
	notStarted   = unique.Make(Problem{Reason: waitsForKubelet, Message: "its node has not started it yet"})
)

// causeOfWait returns why a pod that is pinned to a node does not run; false if it runs, or has run.
func causeOfWait(pod *corev1.Pod, node string) (cause unique.Handle[Problem], waits bool) {
	switch {
	case pod.Spec.NodeName == "":
		return schedulersAnswer(pod, node), true
	case pod.Status.Phase == corev1.PodPending:
		return notStarted, true
	}
	return cause, false
}

// schedulersAnswer returns the scheduler's reason in the condition PodScheduled. The API server sets it for a
// pod with scheduling gates.
func schedulersAnswer(pod *corev1.Pod, node string) unique.Handle[Problem] {
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return unique.Make(Problem{Reason: reasonUnschedulable, Message: unique.Make(reduced(condition.Message, pod.Name, node)).Value()})
		}
	}
	return notScheduled
}

// reduced returns the node-independent part of a scheduler's message: "0/1 nodes are available: node n1:
// Insufficient cpu." becomes "Insufficient cpu".
func reduced(message, pod, node string) string {
	message = Shorten(message, shownWait)
	message = countOfNodes.ReplaceAllString(message, "")
	message = strings.TrimPrefix(message, "node "+node+": ")
	message = strings.TrimSuffix(generalize(message, []string{pod, node}), ".")
	if message == "" {
		return "the scheduler gives no reason"
	}
	return message
}

var countOfNodes = regexp.MustCompile(`^0/[0-9]+ nodes are available: `)
