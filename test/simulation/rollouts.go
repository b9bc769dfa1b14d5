package simulation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// rolloutSteps is the length of the disturbed part of a run with rollouts.
const rolloutSteps = 800

// newRollout returns a cluster that is determined by a seed, with one DaemonSet whose pods are available.
func newRollout(seed uint64, title string) *Cluster {
	kinds := []model.Kinds{{Everynode: true}, {Apps: true}}[seed%2]
	c := newCluster(seed, kinds, 1, 1)
	c.journal.history.Title = fmt.Sprintf("%s, seed %d", title, seed)
	for range 4 + c.random.IntN(3) {
		c.addNode()
	}
	c.addDaemon("d", kinds.Apps, limits{unavailable: 1 + int32(seed/2%2)})
	c.controllers[0].start(0)
	c.settle(calm)
	return c
}

// Flips runs a cluster that is determined by a seed, in which the template changes all the time, while deletes of pods are not answered or
// their effect is seen late (S4): another node must not get the permit of a delete that is in flight or has just been accepted.
func Flips(seed uint64) *Run {
	c := newRollout(seed, "a template that flips")
	c.outcomes = unanswered
	c.roll("deletes have no answer, and are seen late", 20, func() { c.controllers[0].process.see(history.Pods).frozen = false })
	return c.finish()
}

// unanswered loses the answers of many deletes of pods, and freezes the watch that would show them.
func unanswered(p *process, request *history.Request) Outcome {
	c := p.cluster
	if request.Verb != "delete" || request.Resource != string(history.Pods) {
		return Served
	}
	if i := p.see(history.Pods); !i.frozen && c.chance(60) {
		i.frozen = true
		c.note("the watch of %s by %s is frozen", string(i.resource), p.controller.name)
	}
	return pick(c, []Outcome{Served, ReplyLost})
}

// Restarts runs a cluster that is determined by a seed, whose controller is killed during rollouts and starts again, often with lists from the
// past. Its workers begin before it has listed everything, so that only the engine's own gate holds them back.
func Restarts(seed uint64) *Run {
	c := newRollout(seed, "a controller that is killed during rollouts")
	c.stale, c.early = true, true
	c.roll("the controller is killed again and again", 12, func() {
		c.controllers[0].kill()
		c.controllers[0].start(c.recently())
	})
	return c.finish()
}

// roll changes the template again and again, while everything goes on, and disturbs it, so many times in a thousand.
func (c *Cluster) roll(what string, often int, disturb func()) {
	c.mark(history.FaultBegins, what)
	for range rolloutSteps {
		switch n := c.random.IntN(1000); {
		case n < often:
			disturb()
		case n < 60:
			c.onSet(func(set client.Object) { c.setImage(set, fmt.Sprintf("image:%d", 1+c.random.IntN(3))) })
		case n < 80:
			c.clock.Advance(pick(c, []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}))
		case n < 240:
			c.onPod(func(pod *corev1.Pod) { c.progress(pod) })
		default:
			c.step()
		}
	}
}
