package daemon

import (
	"slices"
	"time"
)

const (
	finishedBackOff    = time.Second
	finishedBackOffMax = 15 * time.Minute
)

// proof is how long a pod must have been ready to show that pods can run on its node: its end, whatever
// the cause, resets the back-off of its cell. It does not depend on the present step of the back-off,
// and it is long: with a proof of seconds, a node whose kubelet evicts each pod soon after it was ready,
// or refuses pods while it shuts down, would never see the back-off grow (S8). What is replaced once in
// ten minutes is no hot loop.
const proof = 10 * time.Minute

// Four pods of a cell may vanish within ten minutes before their successors wait: who deletes a pod a few times
// sees it replaced at once.
const (
	freeLosses = 4
	lossWindow = 10 * time.Minute
)

// setbacks are what a cell's back-off depends on.
type setbacks struct {
	retries int       // finished pods that were replaced, since the back-off was reset
	retryAt time.Time // the next one is replaced then, not before

	losses []time.Time // of pods that vanished, up to freeLosses
	pauses int         // more than these, since the back-off was reset
	makeAt time.Time   // the next pod is made then, not before

	probes  int       // dry runs for a blocked node, since the back-off was reset
	probeAt time.Time // the next one is then, not before
}

// probe has the next dry run for a blocked node wait longer, also when the node was not blocked for a while: what a dry
// run shows may differ from what is stored (S8).
func (s *setbacks) probe(now time.Time) {
	if now.Sub(s.probeAt) > 2*finishedBackOffMax {
		s.probes = 0
	}
	s.probeAt = now.Add(RetryAfter(s.probes))
	s.probes++
}

func (c *Cell) setback() *setbacks {
	if c.setbacks == nil {
		c.setbacks = &setbacks{}
	}
	return c.setbacks
}

// retryAt is when a finished pod may be replaced.
func (c *Cell) retryAt() time.Time {
	if c.setbacks == nil {
		return time.Time{}
	}
	return c.setbacks.retryAt
}

// makeAt is when a pod may be made.
func (c *Cell) makeAt() time.Time {
	if c.setbacks == nil {
		return time.Time{}
	}
	return c.setbacks.makeAt
}

// backOff doubles the time until the next finished pod of this cell is replaced, from 1 s to
// 15 min, so that a pod that can never run costs a bounded number of writes (S8). It resets when the
// cell had no finished pod for twice the longest wait, as in apps/v1 (k8s.io/client-go
// util/flowcontrol Backoff).
func (c *Cell) backOff(now time.Time) {
	s := c.setback()
	if now.Sub(s.retryAt) > 2*finishedBackOffMax {
		s.retries = 0
	}
	s.retryAt = now.Add(RetryAfter(s.retries))
	s.retries++
}

// lost records that a pod is gone. If the plan did not delete it and it never served, its successor may meet the
// same end at once: the garbage collector deletes the pods of a DaemonSet that is gone, and other controllers
// delete what they do not allow. From the fifth time within ten minutes it waits, for 1 s, doubling to 15 min,
// regardless of who deletes the pods (S8). Pods that the plan or a rollout deleted never count, nor does one that was
// ready: draining a node is no fault.
func (c *Cell) lost(pod *Pod, now time.Time) {
	if pod.Dropped {
		return
	}
	c.vanished = true
	if pod.Finished || !pod.Ready && !pod.WasReady {
		c.setback().lose(now)
	}
}

func (s *setbacks) lose(now time.Time) {
	if s.pauses > 0 && now.Sub(s.makeAt) > 2*finishedBackOffMax {
		s.pauses, s.losses = 0, nil
	}
	if s.pauses == 0 {
		s.losses = slices.DeleteFunc(s.losses, func(at time.Time) bool { return now.Sub(at) >= lossWindow })
		if len(s.losses) < freeLosses {
			s.losses = append(s.losses, now)
			return
		}
	}
	s.makeAt = now.Add(RetryAfter(s.pauses))
	s.pauses++
}

// worked resets the back-off when a pod that is not ready any more, or gone, had proved that it can run.
func (c *Cell) worked(pod *Pod, now time.Time) {
	if pod.Ready && now.Sub(pod.readyFrom()) >= proof {
		c.setbacks = nil
	}
}

// readyFrom is since when a pod is ready. The clock of its node may be wrong, or its kubelet give no time:
// it was not ready before it was created.
func (p *Pod) readyFrom() time.Time {
	if p.ReadySince.Before(p.Created) {
		return p.Created
	}
	return p.ReadySince
}

// RetryAfter is the wait after so many retries.
func RetryAfter(retries int) time.Duration {
	if retries >= 10 { // 2^10 s is more than 15 min
		return finishedBackOffMax
	}
	return min(finishedBackOff<<retries, finishedBackOffMax)
}
