package daemon

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/google/btree"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cell is one daemon on one node: what the rules say of the node, and the pods that are there
// or wait to go there. It is the unit of planning.
type Cell struct {
	Node    string
	NodeUID types.UID // the incarnation; empty when there is no such node
	Verdict Verdict   // zero when there is no such node
	Pods    []*Pod    // best first, see better; what is in a pod never changes

	target   *target   // shared; nil before the cell is of any Cells
	left     types.UID // the pod that left since the cell was empty, or a digest of several; empty when none did
	setbacks *setbacks // nil where there was none lately, which is nearly everywhere
	granted  *grant    // the rollout's permit to replace a stale pod; nil where there is none
	blocked  *block    // nil where no pod waits in vain, which is nearly everywhere
	vanished bool      // a pod, since the cell was empty; nobody here deleted it
}

// Cells are a daemon's cells, with their sums kept by deltas: a change of one pod or node costs
// one cell. Time comes in with every change, for a pod becomes available by waiting.
// The zero value is empty and ready to use. It is not safe for concurrent use.
type Cells struct {
	// Facts returns what a node's target may depend on beside its name, nil of a node that is not known. It is
	// set before anything is noted, and not asked by a rollout that reads no facts.
	Facts func(node string) *NodeFacts

	state   RolloutState
	terms   terms
	targets map[string]*target // by revision, those that a cell has
	changes changes
	byNode  map[string]*counted
	ordered *btree.BTreeG[*counted] // by node
	sums    Counters
	rollout rollout
	pods    map[string]int // how many there are of a revision, those that end included
	// unavailable are the nodes that the sums count as desired and not as available.
	unavailable *btree.BTreeG[string]
	sent        map[string]*sent // by node, of those where something was asked for
	waits       waitingNodes     // whose pods have not started, by cause
	blocked     waitingNodes
	tally       *tally // of an audit that is under way
	recounts    int
}

// terms are those by which all cells of a daemon are counted.
type terms struct {
	update   string // the update revision
	minReady time.Duration
	surges   bool // a new pod may stand beside the stale one
}

// counted is a cell with what it adds to the sums at present.
type counted struct {
	Cell
	part   part
	roll   rolling
	looked lookedAt
}

// SetNode notes that a node is there and what the rules say of it. It says whether that is news.
func (c *Cells) SetNode(node string, uid types.UID, verdict Verdict, now time.Time) (changed bool) {
	cell := c.cell(node)
	if cell.NodeUID == uid && cell.Verdict == verdict {
		return false
	}
	if cell.NodeUID != uid {
		c.decide(cell)
	}
	cell.NodeUID, cell.Verdict = uid, verdict
	c.recount(cell, now)
	return true
}

// RemoveNode notes that a node is gone, and says whether that is news. Its cell stays as long as
// there are pods in it.
func (c *Cells) RemoveNode(node string, now time.Time) (changed bool) {
	cell, ok := c.at(node)
	if !ok || cell.NodeUID == "" {
		return false
	}
	cell.NodeUID, cell.Verdict = "", Verdict{}
	c.recount(cell, now)
	return true
}

// SetPod notes a pod as it is now, and forgets what was known of it before. It is kept, not copied,
// and must not change any more.
func (c *Cells) SetPod(node string, pod *Pod, now time.Time) {
	cell := c.cell(node)
	old := c.take(cell, pod.UID)
	switch {
	case old == nil && len(cell.Pods) == 0:
		cell.left, cell.vanished = "", false // it was followed
		c.seen(node)
	case old == nil:
		cell.vanished = false
		c.seen(node)
	default:
		if !pod.Ready {
			cell.worked(old, now)
		}
		pod = pod.after(old)
	}
	at, _ := slices.BinarySearchFunc(cell.Pods, pod, better)
	cell.Pods = slices.Insert(cell.Pods, at, pod)
	c.countPod(node, pod.Revision, +1)
	if pod.Terminating {
		c.settle(node, pod.UID)
	}
	c.recount(cell, now)
}

// take removes a pod from a cell, which is not counted anew. It is nil when there was none.
func (c *Cells) take(cell *counted, uid types.UID) *Pod {
	at := slices.IndexFunc(cell.Pods, func(pod *Pod) bool { return pod.UID == uid })
	if at < 0 {
		return nil
	}
	pod := cell.Pods[at]
	cell.Pods = slices.Delete(cell.Pods, at, at+1)
	c.countPod(cell.Node, pod.Revision, -1)
	return pod
}

// Deleted notes that the API server took a delete of a pod, before the watch tells: from now on it
// only holds its place.
func (c *Cells) Deleted(node string, uid types.UID, now time.Time) {
	if cell, ok := c.at(node); ok {
		if at := slices.IndexFunc(cell.Pods, func(pod *Pod) bool { return pod.UID == uid }); at >= 0 {
			ending := *cell.Pods[at]
			ending.Terminating, ending.Dropped = true, true
			c.SetPod(node, &ending, now)
		}
	}
}

// RemovePod notes that a pod is gone.
func (c *Cells) RemovePod(node string, uid types.UID, now time.Time) {
	if cell, ok := c.at(node); ok {
		if pod := c.take(cell, uid); pod != nil {
			c.settle(node, uid)
			cell.left = leftAfter(cell.left, uid)
			cell.worked(pod, now)
			cell.lost(pod, now)
		}
		c.recount(cell, now)
	}
}

// ReleasePod notes that a pod is gone, for the daemon's selector does not match its labels any more. Whoever changes
// them may change those of its successor too, so that it counts as one that vanished, also when it was ready: what
// is released goes on to run.
func (c *Cells) ReleasePod(node string, uid types.UID, now time.Time) {
	cell := c.cell(node)
	if pod := c.take(cell, uid); pod != nil {
		cell.left = leftAfter(cell.left, uid)
		cell.worked(pod, now)
	}
	cell.setback().lose(now)
	c.recount(cell, now)
}

// After is what the name of a node's new pod depends on: the pods that are there, and those that left since the cell was
// empty. It is empty when no pod of the cell is known. What it was once it never is again after a pod that was created
// then was seen: that pod is there, or among those that left, or among those that the cell was emptied of.
func (c *Cells) After(node string) string {
	cell, ok := c.at(node)
	if !ok {
		return ""
	}
	if s := c.sent[node]; s != nil && !s.until.IsZero() {
		return s.after
	}
	before := make([]string, 0, 1+len(cell.Pods))
	if cell.left != "" {
		before = append(before, string(cell.left))
	}
	for i := range cell.Pods {
		before = append(before, string(cell.Pods[i].UID))
	}
	slices.Sort(before)
	return strings.Join(before, "/")
}

// leftAfter adds a pod to those that left. One is known by its UID, so that a controller that was started later and saw
// that one alone has the same; of several their order counts, which every watch shows alike.
func leftAfter(left, uid types.UID) types.UID {
	if left == "" {
		return uid
	}
	return types.UID(digest(string(left) + "/" + string(uid)))
}

// Plan is what to do about a node now. It counts the cell anew first, so that a pod that became
// available since is counted.
func (c *Cells) Plan(node string, now time.Time) Plan {
	cell, ok := c.at(node)
	if !ok {
		return Plan{}
	}
	c.recount(cell, now)
	if doubts := c.inDoubt(&cell.Cell); len(doubts) > 0 {
		return Plan{Doubts: doubts}
	}
	if c.exceedsBudget(cell) {
		cell.granted = nil // it waits for its turn again
		c.recount(cell, now)
	}
	plan := planCell(&cell.Cell, &c.terms, now)
	if s := c.sent[node]; s.awaits(now) && len(plan.Actions) == 0 {
		plan.wake(s.until)
	}
	return plan
}

// Replaced notes that a finished pod of a node was removed: the next one has to wait longer.
func (c *Cells) Replaced(node string, now time.Time) {
	if cell, ok := c.at(node); ok {
		cell.backOff(now)
	}
}

// Counters are the sums over all cells.
func (c *Cells) Counters() Counters { return c.sums }

// PodsOn are the UIDs of the pods of a node.
func (c *Cells) PodsOn(node string) []types.UID {
	cell, ok := c.at(node)
	if !ok {
		return nil
	}
	pods := make([]types.UID, len(cell.Pods))
	for i, pod := range cell.Pods {
		pods[i] = pod.UID
	}
	return pods
}

// Holds says whether there is a pod of a revision in any cell, one that ends included.
func (c *Cells) Holds(revision string) bool { return c.pods[revision] > 0 }

// Len is the number of cells.
func (c *Cells) Len() int { return len(c.byNode) }

// recount replaces a cell's part of the sums, and drops a cell that holds nothing.
func (c *Cells) recount(cell *counted, now time.Time) {
	c.recounts++
	c.tally.count(cell, -1)
	c.sums.add(cell.part, -1)
	was := cell.part.unavailable()
	cell.unblockGone()
	cell.part = cell.count(&c.terms, now)
	c.sums.add(cell.part, +1)
	c.noteUnavailable(cell, was)
	c.noteWaiting(cell)
	underway := c.sent[cell.Node]
	if underway != nil && !underway.open(now) {
		delete(c.sent, cell.Node)
		underway = nil
	}
	c.rollout.replace(cell, cell.rolling(&c.terms, underway, now))
	c.tally.count(cell, +1)
	if cell.NodeUID == "" && len(cell.Pods) == 0 {
		c.forget(cell)
	}
}

// better orders pods of a cell by which of them stays: one that lives before one that ends, a
// bound one before one that waits, a ready one before one that is not, then the older; name and
// UID settle the rest, so that the choice never depends on the order of events.
func better(a, b *Pod) int {
	return cmp.Or(
		compareBool(b.Terminating, a.Terminating),
		compareBool(b.Finished, a.Finished),
		compareBool(a.Bound, b.Bound),
		compareBool(a.Ready, b.Ready),
		a.Created.Compare(b.Created),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.UID, b.UID),
	)
}

// compareBool sorts true before false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// Pod is what a cell keeps of a pod.
type Pod struct {
	Name        string
	UID         types.UID
	Version     string // resourceVersion
	Revision    string
	NodeUID     types.UID // the incarnation it was made for; empty when not made by the controller
	Created     time.Time
	Bound       bool // spec.nodeName is set
	Surges      bool // it was made to stand beside a pod of another revision
	Terminating bool
	Finished    bool // Failed or Succeeded: it will not run again
	Failed      bool
	Ready       bool
	WasReady    bool // it is not now
	Dropped     bool // the API server took our delete of it
	ReadySince  time.Time
	Wait        Wait
}

// after is the pod with what is known of it from its state before: what was deleted never lives again, however
// late the watch is.
func (p *Pod) after(old *Pod) *Pod {
	ends, wasReady := old.Terminating && !p.Terminating, !p.Ready && (old.Ready || old.WasReady)
	dropped := p.Dropped || old.Dropped
	if !ends && wasReady == p.WasReady && dropped == p.Dropped {
		return p
	}
	pod := *p
	pod.Terminating, pod.WasReady, pod.Dropped = p.Terminating || old.Terminating, wasReady, dropped
	return &pod
}

// available is upstream's IsPodAvailable: without a minimum a ready pod is at once, whatever the
// clock of its node says; with one, a pod that does not tell since when is not. No pod is not.
func (t *terms) available(pod *Pod, now time.Time) bool {
	if pod == nil || !pod.Ready {
		return false
	}
	return t.minReady == 0 || !pod.ReadySince.IsZero() && !pod.ReadySince.Add(t.minReady).After(now)
}

// ObservePod takes from a pod what a cell keeps.
func ObservePod(pod *corev1.Pod) Pod {
	observed := Pod{
		Name:        pod.Name,
		UID:         pod.UID,
		Version:     pod.ResourceVersion,
		Revision:    revisionOf(pod),
		NodeUID:     nodeUIDOf(pod),
		Created:     pod.CreationTimestamp.Time,
		Bound:       pod.Spec.NodeName != "",
		Surges:      surges(pod),
		Terminating: pod.DeletionTimestamp != nil,
		Finished:    pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded,
		Failed:      pod.Status.Phase == corev1.PodFailed,
	}
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			observed.Ready, observed.ReadySince = true, condition.LastTransitionTime.Time
		}
	}
	return observed
}
