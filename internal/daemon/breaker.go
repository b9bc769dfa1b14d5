package daemon

import (
	"fmt"
	"time"

	"github.com/google/btree"
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The breaker judges the update revision while its rollout is open.
//
//   - Evidence comes from cells that should run a pod and have one of the update revision that is bound and not terminating. It
//     counts from the time at which the pod was bound, or from the last retry.
//   - A cell is no evidence if its pod is disrupted, if its node was not Ready before, or if the pod of the stable revision that the
//     update replaced was not available.
//   - A cause does not count while the share of the cells with the stable revision that fail for it is at least that of the
//     updated ones: then something else is wrong.
//   - A pull that fails, but not because the image is missing or forbidden, only stops the rollout.
//
// Sums are kept by deltas: an event costs its own cell. What changes by waiting is counted when a cell's plan wakes it.

// breaker is nil while there is nothing to judge.
type breaker struct {
	update, stable string
	since          time.Time // no evidence is older
	terms          FailureTerms
	trials         map[string]*trial // by node: cells with a pod of either revision
	bad            map[string]bool   // nodes whose stable pod was not available when it was replaced
	failed         map[Cause]*btree.BTreeG[string]
	sums           breakerSums
}

// breakerSums count cells.
type breakerSums struct {
	updated, passed, stable int
	unwell                  [len(verdictCauses)]int // of the stable ones, by cause
}

// outcome is what a trial shows now.
type outcome struct {
	updated bool // it is of the update revision; otherwise it is of the stable one
	passed  bool // it is updated and available
	cause   Cause
	detail  string
	wake    time.Time // it may change then without an event
}

// verdictCauses are those of a verdict by evidence.
var verdictCauses = [...]Cause{CauseNode, CauseImage, CauseStart, CauseRestarts, CauseDeadline}

// open reports whether the update revision is judged.
func (s *RolloutState) open() bool {
	return s.Hold != nil && s.Stable != "" && s.Stable != s.Update && s.Recorded == "" && !s.Failed
}

// renewBreaker begins to judge an update revision, or ends it. What is known of it stays while only spec.rollout changes.
func (c *Cells) renewBreaker() {
	s := &c.state
	switch {
	case !s.open():
		c.breaker = nil
		return
	case c.breaker == nil || c.breaker.update != s.Update || c.breaker.stable != s.Stable || !c.breaker.since.Equal(s.Since):
		c.breaker = &breaker{
			update: s.Update, stable: s.Stable, since: s.Since, trials: map[string]*trial{}, bad: map[string]bool{}, failed: map[Cause]*btree.BTreeG[string]{},
		}
	}
	c.breaker.terms = s.Hold.Failure
}

// judge counts a cell's evidence again.
func (c *Cells) judge(cell *counted, now time.Time) {
	b := c.breaker
	if b == nil {
		return
	}
	known, pod := b.trials[cell.Node], b.judged(cell)
	if pod == nil {
		c.noTrial(cell.Node)
		return
	}
	switch {
	case known == nil:
		known = &trial{pod: pod.UID}
		b.trials[cell.Node] = known
	default:
		b.count(cell.Node, &known.outcome, -1)
		if known.pod != pod.UID {
			*known = trial{pod: pod.UID}
		}
	}
	known.see(pod, now)
	known.bound = latest(known.bound, b.since)
	known.outcome = outcome{updated: pod.Revision == b.update}
	if c.terms.available(pod, now) {
		known.available, known.passed = true, known.updated
	}
	b.decide(known, c.factsFor(cell), pod, c.terms.minReady, now)
	if known.updated && (b.bad[cell.Node] || pod.disrupted()) {
		known.cause = CauseNone
	}
	if known.passed {
		delete(b.bad, cell.Node)
	}
	b.count(cell.Node, &known.outcome, +1)
}

// noTrial ends the trial of a cell.
func (c *Cells) noTrial(node string) {
	if c.breaker == nil || c.breaker.trials[node] == nil {
		return
	}
	c.breaker.count(node, &c.breaker.trials[node].outcome, -1)
	delete(c.breaker.trials, node)
}

// judged returns the pod of a cell that is evidence for or against a revision, nil if there is none.
func (b *breaker) judged(cell *counted) (judged *Pod) {
	if !cell.Verdict.ShouldRun {
		return nil
	}
	for _, pod := range cell.Pods {
		if pod.Terminating || pod.Finished || !pod.Bound || pod.fromFormerNode(cell.NodeUID) {
			continue
		}
		switch {
		case pod.Revision == b.update:
			return pod
		case pod.Revision == b.stable && judged == nil:
			judged = pod
		}
	}
	return judged
}

// disrupted reports whether a pod is being evicted, preempted or drained.
func (p *Pod) disrupted() bool { return p.Signs != (Signs{}) && p.Signs.handle.Value().disrupted }

// factsFor returns a node's facts, nil if they are not known or not read.
func (c *Cells) factsFor(cell *counted) *NodeFacts {
	if c.Facts == nil || c.breaker.terms.nodeWindow == 0 {
		return nil
	}
	return c.Facts(cell.Node)
}

// decide sets the cause of a trial, and when that may change without an event.
func (b *breaker) decide(t *trial, node *NodeFacts, pod *Pod, minReady time.Duration, now time.Time) {
	if node != nil && node.Ready != "" {
		if node.Ready != corev1.ConditionTrue {
			b.decideNode(t, node, now)
			return // whatever else is wrong, the node may be its cause
		}
		t.ready = true
	}
	switch patience := t.start.kind.patience(); {
	case t.start.kind == startsWell:
	case now.Before(t.since.Add(patience)):
		t.wakeAt(t.since.Add(patience))
	default:
		t.fails(t.start.kind.cause(), fmt.Sprintf("container %s: %s", t.start.container, t.start.reason))
		return
	}
	if until, container := t.until(b.terms.restarts, b.terms.window, b.since, now); !until.IsZero() {
		t.fails(CauseRestarts, "container "+container)
		t.wakeAt(until)
		return
	}
	if t.start.kind == pullFails || t.start.kind == pullUnclear || t.start.kind == imageMissing {
		return // that it is not available has this reason
	}
	switch deadline := t.bound.Add(b.terms.within(minReady)); {
	case !t.updated && !t.passed && !pod.Ready:
		t.fails(CauseDeadline, "")
	case !t.updated || t.available:
	case now.Before(deadline):
		t.wakeAt(deadline)
	default:
		t.fails(CauseDeadline, "")
	}
}

// decideNode judges the end of a node's readiness.
func (b *breaker) decideNode(t *trial, node *NodeFacts, now time.Time) {
	window, since := b.terms.nodeWindow, node.ReadySince
	switch {
	case node.Unschedulable:
	case t.updated && t.ready && !since.Before(t.bound) && !since.After(t.bound.Add(window)):
		t.fails(CauseNode, "")
	case !t.updated && now.Before(since.Add(window)):
		t.fails(CauseNode, "")
		t.wakeAt(since.Add(window))
	}
}

func (t *trial) fails(cause Cause, detail string) { t.cause, t.detail = cause, detail }

func (t *trial) wakeAt(at time.Time) {
	if t.wake.IsZero() || at.Before(t.wake) {
		t.wake = at
	}
}

// patience is how long an error must last to be evidence.
func (k startKind) patience() time.Duration {
	switch k {
	case neverStarts, startsWell:
		return 0
	case cannotStart:
		return startPatience
	case pullUnclear, pullFails, imageMissing:
	}
	return pullPatience
}

func (k startKind) cause() Cause {
	switch k {
	case imageMissing:
		return CauseImage
	case cannotStart, neverStarts:
		return CauseStart
	case pullUnclear, pullFails:
		return CausePulling
	case startsWell:
	}
	return CauseNone
}

// count adds a cell's outcome to the sums, or removes it.
func (b *breaker) count(node string, of *outcome, sign int) {
	if !of.updated {
		b.sums.stable += sign
		for i := range verdictCauses {
			if verdictCauses[i] == of.cause {
				b.sums.unwell[i] += sign
			}
		}
		return
	}
	b.sums.updated += sign
	if of.passed {
		b.sums.passed += sign
	}
	if of.cause == CauseNone {
		return
	}
	if b.failed[of.cause] == nil {
		b.failed[of.cause] = btree.NewOrderedG[string](8)
	}
	if sign > 0 {
		b.failed[of.cause].ReplaceOrInsert(node)
	} else {
		b.failed[of.cause].Delete(node)
	}
}

func (b *breaker) failures(of Cause) int {
	if nodes := b.failed[of]; nodes != nil {
		return nodes.Len()
	}
	return 0
}

// tally returns how many nodes have failed, and the cause of most of them. Causes by which the stable revision fails as much do not
// count.
func (b *breaker) tally() (nodes int, worst Cause) {
	most := 0
	for i, cause := range verdictCauses {
		n, stable := b.failures(cause), b.sums.unwell[i]
		if n == 0 || stable > 0 && stable*b.sums.updated >= n*b.sums.stable {
			continue
		}
		if nodes += n; n > most {
			most, worst = n, cause
		}
	}
	return nodes, worst
}

func (c *Cells) threshold() int {
	begins := c.breaker.sums.passed < c.rollout.strategy.most(c.sums.Desired)
	if len(c.state.Hold.waves) > 0 {
		begins = c.state.Wave == 0
	}
	return c.breaker.terms.threshold(&c.rollout.strategy, c.sums.Desired, begins)
}

// Fails reports whether the evidence against the update revision is enough for a verdict now.
func (c *Cells) Fails() bool {
	if c.breaker == nil {
		return false
	}
	nodes, _ := c.breaker.tally()
	return nodes >= c.threshold()
}

// Pulls reports whether so many nodes cannot pull an image that no further one is updated.
func (c *Cells) Pulls() bool {
	return c.breaker != nil && c.breaker.failures(CausePulling) >= c.threshold()
}

// Tripped reports whether what the updated nodes show keeps others from being updated.
func (c *Cells) Tripped() bool {
	return c.Pulls() || c.breaker != nil && c.breaker.terms.OnFailure != v1alpha1.OnFailureContinue && c.Fails()
}

// wasUnwell notes that the stable pod of a cell was not available when the rollout deleted it.
func (c *Cells) wasUnwell(cell *counted, pod *Pod) {
	if b := c.breaker; b != nil && pod.Revision == b.stable && cell.granted != nil && cell.granted.free && cell.granted.pod == pod.UID {
		b.bad[cell.Node] = true
	}
}

// outcomeOf is what the trial of a cell shows now.
func (c *Cells) outcomeOf(node string) (of outcome) {
	if c.breaker != nil && c.breaker.trials[node] != nil {
		of = c.breaker.trials[node].outcome
	}
	return of
}

// wakesAt is when a cell has to be counted again without an event; zero if never.
func (c *Cells) wakesAt(node string) time.Time {
	if c.breaker == nil || c.breaker.trials[node] == nil {
		return time.Time{}
	}
	return c.breaker.trials[node].wake
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
