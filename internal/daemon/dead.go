package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/btree"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A node is down while its condition Ready is False or Unknown, and dead when it has been for spec.rollout.deadNodes.afterSeconds.
// A node without the condition is neither. That matters to a rollout, unless the policy is Count:
//
//   - A node that is down gets no permit and is not admitted. A delete would not end there before the kubelet is back, and when
//     many nodes return at once, all pods that were deleted in the meantime would end at once, outside of any budget.
//   - A cell on a dead node is excused unless it has a pod of the update revision that was bound before the node was down: it
//     costs nothing of the limits (S4), and the rollout completes without it. A node that died after its update costs, until
//     the update revision is stable.
//   - When more than maxShare of the eligible nodes are dead, the rollout holds: no node is admitted, no permit is given, and
//     nothing becomes stable. Nodes that return to the stable revision do not wait for that.
//
// Missing pods are created all the same. All of it follows from fields of the API and the time, so that a restart changes nothing; a change
// between False and Unknown is a transition, after which the time begins again.

// deadNodes is spec.rollout.deadNodes with the policy Exclude.
type deadNodes struct {
	after    time.Duration
	maxShare intstr.IntOrString
}

// The defaults and limits of spec.rollout.deadNodes.
const (
	deadAfter                    = 60 * time.Second
	minDeadAfter, maxDeadAfter   = 10 * time.Second, 24 * time.Hour
	maxDeadShare                 = "25%"
	outOfOrder                   = 5 * time.Second // how much later than a pod's event that of its node may come
	shownDead, shownBytesOfNodes = 30, 1500
)

// newDeadNodes parses spec.rollout.deadNodes; nil if dead nodes count.
func newDeadNodes(spec *v1alpha1.DeadNodes) (*deadNodes, error) {
	parsed := &deadNodes{after: deadAfter, maxShare: intstr.FromString(maxDeadShare)}
	if spec == nil {
		return parsed, nil
	}
	if spec.AfterSeconds != 0 {
		parsed.after = time.Duration(spec.AfterSeconds) * time.Second
	}
	if parsed.after < minDeadAfter || parsed.after > maxDeadAfter {
		return nil, fmt.Errorf("afterSeconds must be from %.0f to %.0f, and is %d", minDeadAfter.Seconds(), maxDeadAfter.Seconds(), spec.AfterSeconds)
	}
	if spec.MaxShare != nil {
		parsed.maxShare = *spec.MaxShare
	}
	if !validPartition(&parsed.maxShare) {
		return nil, fmt.Errorf("maxShare must be a number of nodes, 0 or more, or a percentage from 0%% to 100%%, and is %q", parsed.maxShare.String())
	}
	switch spec.Policy {
	case v1alpha1.DeadNodesExclude, "":
		return parsed, nil
	case v1alpha1.DeadNodesCount:
		return nil, nil
	}
	return nil, fmt.Errorf("policy must be Exclude or Count, and is %q", spec.Policy)
}

// tooMany reports whether so many of the nodes are dead that the rollout holds.
func (d *deadNodes) tooMany(died, nodes int) bool {
	if d.maxShare.Type == intstr.Int {
		return died > int(d.maxShare.IntVal)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(d.maxShare.StrVal, "%"))
	return err == nil && died*100 > percent*nodes
}

// downSince returns since when a node is not Ready; false if it is not down.
func (f *NodeFacts) downSince() (since time.Time, down bool) {
	return f.ReadySince, f.Ready == corev1.ConditionFalse || f.Ready == corev1.ConditionUnknown
}

// downAs is what a node that is not Ready is to a rollout. Each includes those before it.
type downAs uint8

const (
	notDown downAs = iota // or dead nodes count
	isDown
	dead
	excused
)

// downCells are the cells on nodes that are down, kept by deltas.
type downCells struct {
	as    map[string]downAs     // nodes that are down, or seem to be
	left  *btree.BTreeG[string] // nodes that are excused as dead, and have no pod of the update revision
	faded map[string]time.Time  // nodes whose pod was seen to be no longer ready a moment ago
}

// judgeDown decides again what a cell's node is, and returns when that changes without an event.
func (c *Cells) judgeDown(cell *counted, now time.Time) (as downAs, next time.Time) {
	if c.terms.dead != nil && cell.NodeUID != "" && c.Facts != nil {
		as, next = c.downNow(cell, now)
	}
	switch {
	case as == notDown && len(c.down.as) == 0:
	case as == notDown:
		delete(c.down.as, cell.Node)
	case c.down.as == nil:
		c.down.as = map[string]downAs{cell.Node: as}
	default:
		c.down.as[cell.Node] = as
	}
	return as, next
}

func (c *Cells) downNow(cell *counted, now time.Time) (as downAs, next time.Time) {
	if at, faded := c.down.faded[cell.Node]; faded {
		if next = at.Add(outOfOrder); now.Before(next) {
			as = isDown // its node may be: that event comes by another watch
		} else {
			delete(c.down.faded, cell.Node)
		}
	}
	facts := c.Facts(cell.Node)
	if facts == nil || facts.UID != cell.NodeUID {
		return as, next
	}
	since, down := facts.downSince()
	switch died := since.Add(c.terms.dead.after); {
	case !down:
		return as, next
	case since.IsZero(): // nothing says that it has been down for long
		return isDown, next
	case now.Before(died):
		return isDown, died
	case c.updatedBefore(&cell.Cell, since):
		return dead, time.Time{}
	}
	return excused, time.Time{}
}

// updatedBefore reports whether a cell has a pod of the revision that is rolled out that was bound at a time or before it. Once that
// revision is stable, the death of a node says nothing of it.
func (c *Cells) updatedBefore(cell *Cell, at time.Time) bool {
	return c.state.Stable != c.state.admitted() && slices.ContainsFunc(cell.Pods, func(pod *Pod) bool {
		return pod.Bound && pod.BoundAt <= at.Unix() && pod.Revision == c.state.admitted() && !pod.fromFormerNode(cell.NodeUID)
	})
}

// fade records that a pod is no longer ready.
func (c *Cells) fade(node string, was, is *Pod, now time.Time) {
	switch {
	case c.terms.dead == nil || was.Ready == is.Ready:
	case is.Ready:
		delete(c.down.faded, node)
	case !is.Terminating && !is.Finished:
		if c.down.faded == nil {
			c.down.faded = map[string]time.Time{}
		}
		c.down.faded[node] = now
	}
}

// noteLeft maintains the nodes that the rollout leaves for later.
func (c *Cells) noteLeft(cell *counted, was bool) {
	if c.down.left == nil {
		if !cell.part.has(isLeft) {
			return
		}
		c.down.left = btree.NewOrderedG[string](8)
	}
	switch is := cell.part.has(isLeft); {
	case is && !was:
		c.down.left.ReplaceOrInsert(cell.Node)
	case was && !is:
		c.down.left.Delete(cell.Node)
	}
}

// halted reports whether the rollout holds because too many nodes are dead. Nodes with a pod that a taint keeps others
// away from are among them: Kubernetes taints nodes that are not Ready.
func (c *Cells) halted() bool {
	rule := c.terms.dead
	return rule != nil && c.state.Stable != c.state.admitted() && rule.tooMany(c.deadOf())
}

// deadOf returns how many nodes are dead, and of how many.
func (c *Cells) deadOf() (died, nodes int) {
	return c.sums.Dead + c.sums.DeadClosed, c.sums.Desired + c.sums.DeadClosed
}

// DeadHealth is what conditions say of dead nodes.
type DeadHealth struct {
	Halts    bool // the rollout
	Of       int  // nodes, of which Total are dead
	Total    int
	After    time.Duration
	MaxShare string
	Left     []string // the first nodes that are updated when they are Ready, by name
}

func (c *Cells) deadHealth() (health DeadHealth) {
	rule := c.terms.dead
	if rule == nil {
		return health
	}
	health.Halts, health.After, health.MaxShare = c.halted(), rule.after, rule.maxShare.String()
	health.Total, health.Of = c.deadOf()
	if c.down.left == nil {
		return health
	}
	size := 0
	c.down.left.Ascend(func(node string) bool {
		if size += len(node) + len(", "); size > shownBytesOfNodes {
			return false
		}
		health.Left = append(health.Left, node)
		return len(health.Left) < shownDead
	})
	return health
}

// halts describes why a rollout holds, and what ends that.
func (d *DeadHealth) halts() string {
	return fmt.Sprintf("the rollout holds: %d of %d nodes are dead (not Ready for %.0f seconds), spec.rollout.deadNodes.maxShare is %s; it continues when fewer are: "+
		"make the nodes Ready, delete those that do not return, or raise maxShare", d.Total, d.Of, d.After.Seconds(), d.MaxShare)
}

// left describes the nodes that are updated later.
func (h *Health) left() string {
	if h.Left == 0 {
		return ""
	}
	text := strings.Join(h.Dead.Left, ", ")
	if more := h.Left - len(h.Dead.Left); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "; dead nodes get one when they are Ready again: " + text
}
