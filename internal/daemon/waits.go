package daemon

import (
	"regexp"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Wait is why a pod has not started. It is one pointer, since many pods wait for the same reason; it is zero of a pod that
// has started, which is nearly every pod.
type Wait struct{ handle unique.Handle[wait] }

type wait struct {
	cause     unique.Handle[Problem]
	placement *Placement // of a pod that is not bound; nil when it is not judged
}

// Equal reports whether two pods wait for the same.
func (w Wait) Equal(other Wait) bool { return w == other }

// ObserveWait is why a pod that is pinned to a node waits. Without placements its placement is not judged.
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

// The reasons of waiting. One is the reason of a condition, so none is taken from a pod.
const (
	reasonUnschedulable = v1alpha1.ReasonUnschedulable
	waitsForScheduler   = "NotScheduled"
	waitsForKubelet     = "NotStarted"
)

// shownWait is how many bytes of a scheduler's message are kept. Whoever may write the status of a pod decides how
// long it is.
const shownWait = 500

var (
	notScheduled = unique.Make(Problem{Reason: waitsForScheduler, Message: "no scheduler has answered yet"})
	notStarted   = unique.Make(Problem{Reason: waitsForKubelet, Message: "its node has not started it yet"})
)

// causeOfWait is why a pod that is pinned to a node does not run; false when it runs, or has run.
func causeOfWait(pod *corev1.Pod, node string) (cause unique.Handle[Problem], waits bool) {
	switch {
	case pod.Spec.NodeName == "":
		return schedulersAnswer(pod, node), true
	case pod.Status.Phase == corev1.PodPending:
		return notStarted, true
	}
	return cause, false
}

// schedulersAnswer is the reason that the scheduler gives in the condition PodScheduled. The API server gives it there
// for a pod with scheduling gates.
func schedulersAnswer(pod *corev1.Pod, node string) unique.Handle[Problem] {
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return unique.Make(Problem{Reason: reasonUnschedulable, Message: unique.Make(reduced(condition.Message, pod.Name, node)).Value()})
		}
	}
	return notScheduled
}

// reduced is what is the same of a scheduler's message for every node: "0/1 nodes are available: node n1: Insufficient
// cpu." is "Insufficient cpu".
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
