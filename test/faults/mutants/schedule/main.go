// Schedule runs everynode-scheduler in a few situations, against an API server in memory, and judges what it did. See
// package mutants.
package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/mutants/chase"
)

func main() {
	chase.Main(func(seed uint64) *history.History { return play(situations[seed%uint64(len(situations))]) })
}

// situation is a daemon's pod that waits for its node, and what happens until it can be bound.
type situation struct {
	name string
	room string // how many pods fit on the node
	play func(context.Context, *cluster) (waits string)
}

const priority = 100

var situations = []situation{
	{"a twin terminates", "10", func(ctx context.Context, c *cluster) string {
		c.addPod(c.daemonPod("p1"), "n1")
		c.terminate("p1")
		c.addPod(c.daemonPod("p2"), "")
		c.start(ctx)
		c.look()
		c.remove("p1")
		return "p2"
	}},
	{"a twin waits too", "10", func(ctx context.Context, c *cluster) string {
		c.addPod(c.daemonPod("p1"), "")
		c.addPod(c.daemonPod("p2"), "")
		c.start(ctx)
		c.look()
		c.remove("p1")
		return "p2"
	}},
	{"the node is full of pods of the same priority", "1", func(ctx context.Context, c *cluster) string {
		c.addPod(otherPod("o1", priority), "n1")
		c.addPod(c.daemonPod("p1"), "")
		c.start(ctx)
		c.look()
		c.remove("o1")
		return "p1"
	}},
	{"the node is full of pods of lower priority", "2", func(ctx context.Context, c *cluster) string {
		c.addPod(otherPod("o1", 0), "n1")
		c.addPod(otherPod("o2", 0), "n1")
		c.addPod(c.daemonPod("p1"), "")
		c.start(ctx)
		return "p1"
	}},
}

// How long a scheduler gets to do something wrong, and to do what is right: its queue waits a second or two between attempts.
const (
	lookFor  = 1500 * time.Millisecond
	bindFor  = 10 * time.Second
	pollEach = 20 * time.Millisecond
)

// play runs a situation up to the binding of the pod that waits, which then becomes ready.
func play(of situation) *history.History {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newCluster(of.name, of.room)
	waits := of.play(ctx, c)
	for end := time.Now().Add(bindFor); time.Now().Before(end) && !c.bound(waits); time.Sleep(pollEach) {
		c.finishTerminating()
	}
	if c.bound(waits) {
		c.change(waits, ready)
	}
	return c.end()
}

func ready(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}
