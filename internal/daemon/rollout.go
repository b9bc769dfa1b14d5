package daemon

import (
	"cmp"
	"fmt"
	"time"

	"github.com/google/btree"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Strategy is how stale pods are replaced.
type Strategy struct {
	// OnDelete: only when a user deletes them.
	OnDelete bool
	// Suspended: there should be no pods.
	Suspended bool
	// MaxUnavailable and MaxSurge are numbers or percentages of the nodes that should run a pod.
	MaxUnavailable, MaxSurge intstr.IntOrString
}

// NewStrategy returns the strategy of a daemon's spec, with apps/v1's defaults.
func NewStrategy(spec *v1alpha1.DaemonSetUpdateStrategy) Strategy {
	strategy := Strategy{OnDelete: spec.Type == appsv1.OnDeleteDaemonSetStrategyType, MaxUnavailable: intstr.FromInt32(1)}
	if rolling := spec.RollingUpdate; rolling != nil {
		if rolling.MaxUnavailable != nil {
			strategy.MaxUnavailable = *rolling.MaxUnavailable
		}
		if rolling.MaxSurge != nil {
			strategy.MaxSurge = *rolling.MaxSurge
		}
	}
	return strategy
}

// surges reports whether a new pod may ever run beside a stale one.
func (s *Strategy) surges() bool { return !s.OnDelete && scaled(s.MaxSurge, 1) > 0 }

// limits returns the limits in nodes for a number of nodes that should run a pod. Percentages round up, and if
// neither allows anything one node may be unavailable, as in apps/v1 (k8s.io/kubernetes pkg/controller/daemon
// updatedDesiredNodeCounts).
func (s *Strategy) limits(desired int) (maxUnavailable, maxSurge int) {
	maxUnavailable, maxSurge = scaled(s.MaxUnavailable, desired), scaled(s.MaxSurge, desired)
	if maxUnavailable == 0 && maxSurge == 0 {
		maxUnavailable = 1
	}
	return maxUnavailable, maxSurge
}

// scaled is 0 for a value that the CRD does not accept.
func scaled(value intstr.IntOrString, of int) int {
	number, err := intstr.GetScaledValueFromIntOrPercent(&value, of, true)
	if err != nil {
		return 0
	}
	return number
}

// grant is the rollout's permit to replace one pod. It ends with the pod, or when the pod is not stale any
// more. A permit that was given because the pod is not available ends when it is, and one that was given
// because the node is closed ends when the node is open.
type grant struct {
	pod    types.UID
	free   bool   // does not count: the pod is not available
	closed bool   // no pod of the target could start there
	note   string // the numbers on which it was given
}

// rollout is the state of a daemon's rollout: its limits, what counts against them, and which cells wait for
// their turn. All of it is kept by deltas.
type rollout struct {
	strategy Strategy
	serving  int // cells that should run a pod and have an available one that is not terminating
	taken    int // of these, cells whose available pod may be deleted
	surging  int // cells where a new pod runs beside the old one, or may
	excused  int // cells that are blocked, or on dead nodes, and do not serve
	eligible int // of a suspended daemon: cells that would run a pod
	ending   int // of a suspended daemon: cells whose pods terminate, or may be deleted
	waiting  *btree.BTreeG[turn]
	ranks    map[string]string // by node, while the rollout has an order
}

// turn is a cell's place in the queue. Cells whose stale pod is not available come first, because replacing it
// costs nothing; those that the target could not start on come last; then nodes are in the rollout's order, and ordered by
// name.
type turn struct {
	free, closed bool
	rank, node   string
}

func (t turn) less(other turn) bool {
	return cmp.Or(
		compareBool(other.closed, t.closed),
		compareBool(t.free, other.free),
		cmp.Compare(t.rank, other.rank),
		cmp.Compare(t.node, other.node),
	) < 0
}

// rolling is a cell's part of a rollout. There are as many as cells.
type rolling struct {
	serving, taken, surging bool
	unused                  bool // it may surge and does not yet
	waits, free, closed     bool // for its turn, and which
	excused                 bool
	eligible, ending        bool
}

// turn is a cell's place in the queue, while it waits.
func (r *rollout) turn(of *counted) turn {
	return turn{free: of.roll.free, closed: of.roll.closed, rank: r.ranks[of.Node], node: of.Node}
}

// rank changes a node's place in the rollout's order.
func (r *rollout) rank(of *counted, rank string) {
	if of.roll.waits {
		r.waiting.Delete(r.turn(of))
	}
	if r.ranks == nil {
		r.ranks = map[string]string{}
	}
	if r.ranks[of.Node] = rank; rank == "" {
		delete(r.ranks, of.Node)
	}
	if of.roll.waits {
		r.waiting.ReplaceOrInsert(r.turn(of))
	}
}

// replace exchanges a cell's part.
func (r *rollout) replace(cell *counted, next rolling) {
	if r.waiting == nil {
		r.waiting = btree.NewG(8, turn.less)
	}
	before := cell.roll
	count := func(sum *int, had, has bool) {
		if had {
			*sum--
		}
		if has {
			*sum++
		}
	}
	count(&r.serving, before.serving, next.serving)
	count(&r.taken, before.taken, next.taken)
	count(&r.surging, before.surging, next.surging)
	count(&r.excused, before.excused, next.excused)
	count(&r.eligible, before.eligible, next.eligible)
	count(&r.ending, before.ending, next.ending)
	if before.waits && (!next.waits || before.free != next.free || before.closed != next.closed) {
		r.waiting.Delete(r.turn(cell))
	}
	cell.roll = next
	if next.waits {
		r.waiting.ReplaceOrInsert(r.turn(cell))
	}
}

// rolling returns a cell's part of the rollout now. A cell that should not run a pod counts for no limit. A
// stale pod that a NoSchedule taint lets stay is also replaced in the end, as in apps/v1; because it gets no
// successor, only after every other node is served. Requests in flight count as done.
func (c *Cell) rolling(terms *terms, down downAs, underway *sent, now time.Time) rolling {
	if terms.suspended {
		return c.suspending(underway)
	}
	stale, fresh, alive := c.standing()
	closed := !c.Verdict.ShouldRun
	if down != notDown {
		c.granted = nil
	}
	if g := c.granted; g != nil && (stale == nil || g.pod != stale.UID || g.closed != closed || g.free && terms.serves(stale, now)) {
		c.granted = nil
	}
	granted := c.granted != nil
	if closed {
		if !c.Verdict.ShouldContinue || stale == nil || granted || alive > 1 || underway != nil || down != notDown {
			return rolling{}
		}
		return rolling{waits: true, closed: true}
	}
	serves := func(pod *Pod) bool { return terms.available(pod, now) && !underway.doubts(pod) }
	if c.blocked != nil || down == excused { // nothing is replaced until the block is lifted, or the node is Ready
		c.granted = nil
		serving := serves(stale) || serves(fresh)
		return rolling{serving: serving, excused: !serving}
	}
	roll := rolling{
		serving: serves(stale) || serves(fresh),
		taken:   !terms.surges && granted && serves(stale),
		surging: terms.surges && (alive > 1 || granted && !c.granted.free || underway.surges() || alive == 1 && underway.awaits()),
	}
	roll.unused = roll.surging && alive == 1 && !underway.awaits()
	// A cell with several pods has to be cleaned up first.
	if stale != nil && !granted && alive == 1 && underway == nil && down == notDown {
		roll.waits, roll.free = true, !terms.serves(stale, now)
	}
	return roll
}

// exceedsBudget reports whether a cell has an unused permit that the limits do not allow any more: other nodes
// lost their pod in the meantime, or there are fewer nodes (S4).
func (c *Cells) exceedsBudget(cell *counted) bool {
	r := &c.rollout
	maxUnavailable, maxSurge := r.strategy.limits(c.sums.Desired)
	return cell.roll.taken && c.without() > maxUnavailable ||
		cell.roll.unused && r.surging > maxSurge
}

// without is the number of nodes without an available pod, including those with a permit to lose it. Excused
// nodes do not count (S4).
func (c *Cells) without() int {
	r := &c.rollout
	return c.sums.Desired - r.excused - r.serving + r.taken
}

// serves reports whether a stale pod is worth keeping until its turn: it is available or, if its successor can
// come first, ready at all.
func (t *terms) serves(stale *Pod, now time.Time) bool {
	return t.surges && stale.Ready || t.available(stale, now)
}

// standing returns the best stale pod and the best of the target, among live pods for this incarnation of the
// node, and how many there are.
func (c *Cell) standing() (stale, fresh *Pod, alive int) {
	for _, pod := range c.Pods {
		if pod.Terminating || pod.Finished || pod.fromFormerNode(c.NodeUID) {
			continue
		}
		alive++
		switch isStale := c.stale(pod); {
		case !isStale && fresh == nil:
			fresh = pod
		case isStale && stale == nil:
			stale = pod
		}
	}
	return stale, fresh, alive
}

// fromFormerNode reports whether a pod was created for another incarnation of the node.
func (p *Pod) fromFormerNode(node types.UID) bool { return p.NodeUID != "" && p.NodeUID != node }

// GrantSome permits as many cells to replace their stale pod as the limits allow, and returns their nodes. It
// processes at most `most` cells, and reports whether there may be more. A stale pod that is not available may
// be replaced at once. An available one may be deleted, or joined by its successor, only while the number of
// nodes without an available pod, including earlier grants, is below maxUnavailable, or the number of nodes
// that surge below maxSurge (S4).
func (c *Cells) GrantSome(now time.Time, most int) (nodes []string, more bool) {
	r := &c.rollout
	switch {
	case r.waiting == nil:
		return nil, false
	case r.strategy.Suspended:
		return c.grantEnds(now, most)
	case r.strategy.OnDelete:
		return nil, false
	case c.state.paused():
		return nil, false
	case c.halted():
		return nil, false
	case c.stopped():
		return nil, false
	}
	maxUnavailable, maxSurge := r.strategy.limits(c.sums.Desired)
	for range most {
		next, some := r.waiting.Min()
		if !some {
			return nodes, false
		}
		cell, _ := c.at(next.node)
		if c.recount(cell, now); !cell.roll.waits || r.turn(cell) != next {
			continue // its turn has changed with time
		}
		unavailable := c.without()
		var note string
		switch {
		case next.closed && unavailable == 0:
			note = "its target could not start there, and every node that is open has an available pod"
		case next.closed:
			return nodes, false
		case next.free:
			note = "it is not available"
		case c.terms.surges && r.surging < maxSurge:
			note = fmt.Sprintf("%d of at most %d nodes surge", r.surging+1, maxSurge)
		case !c.terms.surges && unavailable < maxUnavailable:
			note = fmt.Sprintf("%d of at most %d nodes are without an available pod", unavailable+1, maxUnavailable)
		default:
			return nodes, false
		}
		stale, _, _ := cell.standing()
		cell.granted = &grant{pod: stale.UID, free: next.free, closed: next.closed, note: note}
		c.recount(cell, now)
		nodes = append(nodes, next.node)
	}
	return nodes, true
}
