package daemon

import "time"

const (
	firstRetry = time.Second
	lastRetry  = 15 * time.Minute
)

// proof is how long a pod must have been ready to show that pods can run on its node: its end, whatever
// the cause, resets the back-off of its cell. It does not depend on the present step of the back-off,
// and it is long: with a proof of seconds, a node whose kubelet evicts each pod soon after it was ready,
// or refuses pods while it shuts down, would never see the back-off grow (S8). What is replaced once in
// ten minutes is no hot loop.
const proof = 10 * time.Minute

// backOff doubles the time until the next finished pod of this cell is replaced, from 1 s to
// 15 min, so that a pod that can never run costs a bounded number of writes (S8). It resets when the
// cell had no finished pod for twice the longest wait, as in apps/v1 (k8s.io/client-go
// util/flowcontrol Backoff).
func (c *Cell) backOff(now time.Time) {
	if now.Sub(c.retryAt) > 2*lastRetry {
		c.retries = 0
	}
	c.retryAt = now.Add(retryAfter(c.retries))
	c.retries++
}

// worked resets the back-off when a pod that is not ready any more, or gone, had proved that it can run.
func (c *Cell) worked(pod *Pod, now time.Time) {
	if pod.Ready && c.retries > 0 && now.Sub(pod.readyFrom()) >= proof {
		c.retries, c.retryAt = 0, time.Time{}
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

// retryAfter is the wait after so many retries.
func retryAfter(retries int) time.Duration {
	if retries >= 10 { // 2^10 s is more than 15 min
		return lastRetry
	}
	return min(firstRetry<<retries, lastRetry)
}
