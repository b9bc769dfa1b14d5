package daemon

import (
	"fmt"
	"time"
)

// What the evidence against a revision comes to, in words.

// Evidence is what a verdict is based on.
type Evidence struct {
	Cause   Cause
	Message string
	Nodes   []string // the first ones
	Count   int
}

// shownFailed is how many nodes a verdict names.
const shownFailed = 10

// Evidence returns the evidence against the update revision, if it is enough for a verdict now; otherwise nil.
func (c *Cells) Evidence() *Evidence {
	if !c.Fails() {
		return nil
	}
	nodes, worst := c.breaker.tally()
	of := &Evidence{Cause: worst, Nodes: c.breaker.first(worst, shownFailed), Count: nodes}
	detail := c.breaker.trials[of.Nodes[0]].detail
	of.Message = fmt.Sprintf("%s on %s%s", worst.words(&c.breaker.terms, c.terms.minReady), count(c.breaker.failures(worst), "node"), withDetail(detail))
	if others := nodes - c.breaker.failures(worst); others > 0 {
		of.Message += fmt.Sprintf("; %s failed for other causes", count(others, "node"))
	}
	return of
}

func withDetail(detail string) string {
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

// first returns the first nodes that have failed for a cause.
func (b *breaker) first(of Cause, n int) (nodes []string) {
	if b.failures(of) == 0 {
		return nil
	}
	b.failed[of].Ascend(func(node string) bool {
		nodes = append(nodes, node)
		return len(nodes) < n
	})
	return nodes
}

// words describes what happened.
func (c Cause) words(terms *FailureTerms, minReady time.Duration) string {
	switch c {
	case CauseNode:
		return "a node that was Ready became NotReady after its pod was bound,"
	case CauseImage:
		return "an image is missing or forbidden"
	case CauseStart:
		return "a container cannot be started"
	case CauseRestarts:
		return fmt.Sprintf("a container restarted %d times within %s", terms.restarts, terms.window)
	case CauseDeadline:
		return fmt.Sprintf("the pod is not available %s after it was bound,", terms.within(minReady))
	case CauseNone, CauseAborted, CausePulling:
	}
	return string(c)
}

// pulling describes the nodes that cannot pull an image; empty if that does not stop the rollout.
func (c *Cells) pulling() string {
	if !c.Pulls() {
		return ""
	}
	nodes := c.breaker.first(CausePulling, shownNodes)
	return fmt.Sprintf("an image cannot be pulled on %s: %s", count(c.breaker.failures(CausePulling), "node"), list(nodes, c.breaker.failures(CausePulling)))
}
