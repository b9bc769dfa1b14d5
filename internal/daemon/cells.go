package daemon

import (
	"slices"
	"strings"
	"time"

	"github.com/google/btree"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cell is one daemon on one node: the verdict of the rules on the node, and the pods that are there or wait to
// run there. It is the unit of planning.
type Cell struct {
	Node    string
	NodeUID types.UID // the incarnation; empty if the node does not exist
	Verdict Verdict   // zero if the node does not exist
	Pods    []*Pod    // best first, see better; pods are immutable

	target   *target   // shared; nil before the cell belongs to any Cells
	left     types.UID // the pod that left since the cell was empty, or a digest of several; empty if none did
	setbacks *setbacks // nil without recent setbacks, which is nearly always
	granted  *grant    // the rollout's permit to replace a stale pod, or nil
	blocked  *block    // nil unless the cell is blocked, which is nearly always
	vanished bool      // a pod since the cell was empty, not deleted by this controller

	// While the rollout holds nodes back (admit.go).
	admitted bool // the target is the update revision; otherwise it is the stable revision
	selected bool // the node's labels let the rollout admit it
	joins    bool // the node is new, and has had no available pod

	looked lookedAt
}

// Cells are a daemon's cells, with sums that are kept by deltas: a change of one pod or node costs one cell.
// Every change comes with the time, because a pod becomes available by waiting. The zero value is empty and
// ready to use. It is not safe for concurrent use.
type Cells struct {
	// Facts returns the facts of a node that its target may depend on, nil for an unknown node. Set it before
	// anything else; a rollout that reads no facts does not call it.
	Facts func(node string) *NodeFacts
	// Stop is the emergency stop, which all daemons share; nil if there is none.
	Stop *Stop
	// Starting is set until everything that exists was observed (Started): a cell whose node was not observed yet is
	// kept, because the name of its next pod depends on those that left.
	Starting bool
	// Forgotten is called when a cell is dropped after its pods have left. The name of the node's next pod depends on after (After).
	// It may be nil.
	Forgotten func(node, after string)

	empty   []string // cells without a node and pods, which are kept while Starting
	state   RolloutState
	terms   terms
	targets map[string]*target // by revision, those that a cell has
	changes changes
	byNode  map[string]*counted
	ordered *btree.BTreeG[*counted] // by node
	sums    Counters
	rollout rollout
	queue   *btree.BTreeG[place] // of cells that the rollout may admit
	urgent  int                  // of these, cells that a wave wants whatever its number
	barred  barred
	failure bool           // of a pod of the update revision, while the rollout holds nodes back
	pods    map[string]int // the number of pods of a revision, terminating ones included
	// unavailable are the nodes that the sums count as desired and not as available.
	unavailable *btree.BTreeG[string]
	sent        map[string]*sent // by node, requests in flight
	waits       waitingNodes     // whose pods have not started, by cause
	blocked     waitingNodes
	down        downCells
	tally       *tally // of an audit in progress
	recounts    int
}

// terms apply to all cells of a daemon.
type terms struct {
	update   string // the update revision
	minReady time.Duration
	surges   bool       // a new pod may run beside the stale one
	rollsOut bool       // there is a rollout
	holds    bool       // it may hold nodes back
	dead     *deadNodes // nil if dead nodes count
	wary     bool       // of plans: some node is blocked

	suspended bool // no cell should have a pod
}

// counted is a cell with its present part of the sums.
type counted struct {
	Cell
	part      part
	roll      rolling
	queued    bool   // the rollout may admit it
	abandoned bool   // it is queued, and has a pod of an abandoned revision
	wanted    wanted // by the open wave
	inWave    wanted // it is, and the cell is queued, or something else in the rollout leaves it out
}

// SetNode sets a node's existence and the verdict on it, and reports whether that changed.
func (c *Cells) SetNode(node string, uid types.UID, verdict Verdict, now time.Time) (changed bool) {
	cell := c.cell(node)
	if cell.NodeUID == uid && cell.Verdict == verdict {
		return false
	}
	incarnation := cell.NodeUID
	if cell.NodeUID, cell.Verdict = uid, verdict; incarnation != uid {
		c.join(cell)
		c.decide(cell)
	}
	c.recount(cell, now)
	return true
}

// RemoveNode removes a node, and reports whether it existed. Its cell stays as long as it has pods.
func (c *Cells) RemoveNode(node string, now time.Time) (changed bool) {
	cell, ok := c.at(node)
	if !ok || cell.NodeUID == "" {
		return false
	}
	cell.NodeUID, cell.Verdict = "", Verdict{}
	c.recount(cell, now)
	return true
}

// SetPod sets the present state of a pod. The pod is kept, not copied, and must not change any more.
func (c *Cells) SetPod(node string, pod *Pod, now time.Time) {
	cell := c.cell(node)
	old := c.take(cell, pod.UID)
	switch {
	case old == nil && len(cell.Pods) == 0:
		cell.left, cell.vanished = "", false // it has a successor
		c.seen(node, pod.UID)
	case old == nil:
		cell.vanished = false
		c.seen(node, pod.UID)
	default:
		if !pod.Ready {
			cell.worked(old, now)
		}
		pod = pod.after(old)
		c.fade(node, old, pod, now)
	}
	at, _ := slices.BinarySearchFunc(cell.Pods, pod, better)
	cell.Pods = slices.Insert(cell.Pods, at, pod)
	c.countPod(node, pod.Revision, +1)
	if pod.Terminating {
		c.settle(node, pod.UID)
	}
	c.recount(cell, now)
}

// take removes a pod from a cell, without counting the cell again. It returns nil if there was none.
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

// Deleted records that the API server accepted a delete of a pod, before the watch shows it: from now on the
// pod only holds its place.
func (c *Cells) Deleted(node string, uid types.UID, now time.Time) {
	if cell, ok := c.at(node); ok {
		if at := slices.IndexFunc(cell.Pods, func(pod *Pod) bool { return pod.UID == uid }); at >= 0 {
			ending := *cell.Pods[at]
			ending.Terminating, ending.Dropped = true, true
			c.SetPod(node, &ending, now)
		}
	}
}

// RemovePod records that a pod is gone.
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

// ReleasePod records that a pod is gone because the daemon's selector does not match its labels any more.
// Another controller may change the labels of its successor too, so it counts as one that vanished, also if it
// was ready: a released pod continues to run.
func (c *Cells) ReleasePod(node string, uid types.UID, now time.Time) {
	cell := c.cell(node)
	if pod := c.take(cell, uid); pod != nil {
		cell.left = leftAfter(cell.left, uid)
		cell.worked(pod, now)
	}
	cell.setback().lose(now)
	c.recount(cell, now)
}

// After returns what the name of a node's new pod depends on: the present pods, and those that left since the
// cell was empty. It is empty if no pod of the cell is known. A value never recurs after a pod that was created
// with it was seen: that pod is in the cell, or among those that left, or among those that left before the cell
// was empty.
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

// leftAfter adds a pod to those that left. A single pod is identified by its UID, so that a controller that was
// started later and only saw that one computes the same; the order of several matters, which every watch
// delivers alike.
func leftAfter(left, uid types.UID) types.UID {
	if left == "" {
		return uid
	}
	return types.UID(digest(string(left) + "/" + string(uid)))
}

// Plan returns what to do about a node now. It counts the cell again first, so that a pod that has become
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
	if c.endUnused(cell) {
		c.recount(cell, now)
	}
	c.terms.wary = c.Blocked() > 0
	plan := planCell(&cell.Cell, &c.terms, now)
	if _, next := c.judgeDown(cell, now); !next.IsZero() {
		plan.wake(next)
	}
	return c.sent[node].restrain(plan, now)
}

// Replaced records that a finished pod of a node was removed: the next one has to wait longer.
func (c *Cells) Replaced(node string, now time.Time) {
	if cell, ok := c.at(node); ok {
		cell.backOff(now)
	}
}

// Counters returns the sums over all cells.
func (c *Cells) Counters() Counters { return c.sums }

// PodsOn returns the UIDs of the pods of a node.
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

// Holds reports whether any cell has a pod of a revision, including terminating ones.
func (c *Cells) Holds(revision string) bool { return c.pods[revision] > 0 }

// Len is the number of cells.
func (c *Cells) Len() int { return len(c.byNode) }

// recount replaces a cell's part of the sums, and drops an empty cell.
func (c *Cells) recount(cell *counted, now time.Time) {
	c.recounts++
	c.tally.count(cell, -1)
	c.sums.add(cell.part, -1)
	was, wasLeft, before := cell.part.unavailable(), cell.part.has(isLeft), cell.part
	cell.unblockGone(&c.terms)
	down, _ := c.judgeDown(cell, now)
	c.follow(cell, now)
	cell.part = cell.count(&c.terms, down, now)
	c.sums.add(cell.part, +1)
	c.noteUnavailable(cell, was)
	c.noteLeft(cell, wasLeft)
	c.noteFailure(cell, before)
	c.noteWaiting(cell)
	underway := c.sent[cell.Node]
	if underway != nil && !underway.open() {
		delete(c.sent, cell.Node)
		underway = nil
	}
	c.rollout.replace(cell, cell.rolling(&c.terms, down, underway, now))
	c.requeue(cell)
	c.tally.count(cell, +1)
	switch {
	case cell.NodeUID != "" || len(cell.Pods) > 0:
	case c.Starting:
		c.empty = append(c.empty, cell.Node)
	default:
		c.forget(cell)
	}
}

// Pod is the part of a pod that a cell keeps.
type Pod struct {
	Name        string
	UID         types.UID
	Version     string // resourceVersion
	Revision    string
	NodeUID     types.UID // the incarnation it was created for; empty if the controller did not create it
	Created     time.Time
	BoundAt     int64 // in seconds since 1970
	Bound       bool  // spec.nodeName is set
	Surges      bool  // it was created to run beside a pod of another revision
	Terminating bool
	Finished    bool // Failed or Succeeded: it will not run again
	Failed      bool
	Ready       bool
	WasReady    bool // and is not now
	Dropped     bool // the API server accepted our delete of it
	ReadySince  time.Time
	Wait        Wait
}

// after returns the pod with knowledge from its previous state: a deleted pod never becomes live again, however
// stale the watch is.
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

// available is upstream's IsPodAvailable: without a minimum a ready pod is available at once, whatever its
// node's clock; with one, a pod without a transition time is not. A nil pod is not.
func (t *terms) available(pod *Pod, now time.Time) bool {
	if pod == nil || !pod.Ready {
		return false
	}
	return t.minReady == 0 || !pod.ReadySince.IsZero() && !pod.ReadySince.Add(t.minReady).After(now)
}

// ObservePod extracts the part of a pod that a cell keeps.
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
	if observed.Bound {
		observed.BoundAt = max(0, observed.Created.Unix())
	}
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		switch {
		case condition.Status != corev1.ConditionTrue:
		case condition.Type == corev1.PodReady:
			observed.Ready, observed.ReadySince = true, condition.LastTransitionTime.Time
		case condition.Type == corev1.PodScheduled && observed.Bound && !condition.LastTransitionTime.IsZero():
			observed.BoundAt = condition.LastTransitionTime.Unix()
		}
	}
	return observed
}
