package answers

import (
	"time"

	"k8s.io/client-go/util/workqueue"
)

// Concern is what an answer concerns, and so what backs off (docs/design.md, Back-off).
type Concern string

const (
	// Nothing: the requested state exists, or the object is no longer the one that was planned for. There is
	// nothing to repeat; an event of the watch follows.
	Nothing Concern = "nothing"
	// Pod: only the name, or pins of the template that exclude the node. The cell backs off.
	Pod Concern = "pod"
	// Node: the component that answered can distinguish nodes, and may mean only this one. The cell backs off,
	// and the daemon when several nodes get such an answer.
	Node Concern = "node"
	// Daemon: what every pod of the daemon has in common. The daemon backs off: one cell at a time is retried.
	Daemon Concern = "daemon"
	// Server: there is no answer about the object. The cell is retried soon.
	Server Concern = "server"
	// Admission: placement admission is not effective. The cell backs off, and every cell is planned again when
	// admission is effective.
	Admission Concern = "placement admission"
)

// The limits of every back-off of requests: of those that the API server refuses (S8), and of those that it
// does not answer.
const (
	RefusedBackOff, RefusedBackOffMax       = time.Second, 15 * time.Minute
	UnansweredBackOff, UnansweredBackOffMax = 100 * time.Millisecond, 10 * time.Second
)

// BackOff is how long a request waits before it is repeated. It doubles.
type BackOff struct {
	Per        string // what backs off: "cell" or "daemon"; "" if nothing is repeated
	First, Max time.Duration
}

// BackOff returns the back-off of a concern.
func (c Concern) BackOff() BackOff {
	switch c {
	case Nothing:
		return BackOff{}
	case Server:
		return BackOff{"cell", UnansweredBackOff, UnansweredBackOffMax}
	case Daemon:
		return BackOff{"daemon", RefusedBackOff, RefusedBackOffMax}
	case Pod, Node, Admission:
	}
	return BackOff{"cell", RefusedBackOff, RefusedBackOffMax}
}

// Refused limits by key what is repeated after the API server refused it.
func Refused[K comparable]() workqueue.TypedRateLimiter[K] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[K](RefusedBackOff, RefusedBackOffMax)
}

// Unanswered limits by key what is repeated after the API server gave no answer.
func Unanswered[K comparable]() workqueue.TypedRateLimiter[K] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[K](UnansweredBackOff, UnansweredBackOffMax)
}
