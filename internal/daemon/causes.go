package daemon

import "github.com/everynode/everynode/api/v1alpha1"

// aspect is what the sums contain of a cell besides apps/v1's, packed: the cause why it has no available pod, if it should have one and there
// is a rollout, and more.
type aspect uint8

const (
	noCause aspect = iota // it has one, or there is no rollout
	causeDeadNode
	causeBlocked
	causeMissing
	causeUnschedulable
	causeUpdated
	causeStale
	causes // their number

	ofCause      aspect = 0x0f
	isDead       aspect = 0x10 // should run a pod, and the node is dead
	isDeadClosed aspect = 0x20 // has a pod that it should not get now, and the node is dead
	isLeft       aspect = 0x40 // excused because the node is dead, and without a pod of the update revision
	isBehind     aspect = 0x80 // excused, and has a pod, and none of the update revision
)

// when returns the aspect if it applies.
func (a aspect) when(applies bool) aspect {
	if applies {
		return a
	}
	return 0
}

func (p *part) has(of aspect) bool { return p.of&of != 0 }

// causeOf returns why a cell that should run a pod has no available one.
func (c *Cell) causeOf(terms *terms, down downAs) aspect {
	switch {
	case !terms.rollsOut:
		return noCause
	case c.blocked != nil:
		return causeBlocked
	case down == excused:
		return causeDeadNode
	case len(c.Pods) == 0:
		return causeMissing
	case c.Pods[0].unschedulable():
		return causeUnschedulable
	case c.Pods[0].Revision == terms.update:
		return causeUpdated
	}
	return causeStale
}

// unschedulable reports whether a scheduler answered that a pod does not fit.
func (p *Pod) unschedulable() bool {
	return !p.Bound && p.Wait != Wait{} && p.Wait.handle.Value().cause.Value().Reason == reasonUnschedulable
}

// unavailableNodes returns the nodes without an available pod by cause, nil if there are none.
func (c *Counters) unavailableNodes() *v1alpha1.RolloutUnavailable {
	if c.Without == [causes]int{} {
		return nil
	}
	of := func(cause aspect) int32 { return number(c.Without[cause]) }
	return &v1alpha1.RolloutUnavailable{
		Updated: of(causeUpdated), Stale: of(causeStale), Missing: of(causeMissing), Unschedulable: of(causeUnschedulable),
		Blocked: of(causeBlocked), DeadNode: of(causeDeadNode),
	}
}
