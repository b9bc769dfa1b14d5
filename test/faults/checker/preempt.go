package checker

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"

	"github.com/everynode/everynode/test/faults/history"
)

// eviction is what one evaluation of a scheduler deletes on a node for a pod.
type eviction struct {
	victims   []*pod
	preemptor *pod
}

// evictionsAnAttempt bounds S8: pods that one attempt may evict from a node.
const evictionsAnAttempt = 20

// judgeEviction judges S6 when a scheduler deletes a pod.
func (s *state) judgeEviction(r *asked) {
	victim := s.names[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}]
	if may, _ := mayBeDone(r.Request); !may {
		return
	}
	if victim == nil || s.gaps.within(s.firstAt(s.now.Add(-s.lag())), history.Pods) {
		s.unjudged(S6)
		return
	}
	s.judged(S6)
	preemptor := s.preemptorOf(victim)
	if preemptor == nil {
		s.violated(S6, victim.key(), "%s deleted it, and no pod of higher priority waits for node %s", r.User, victim.object.Spec.NodeName)
		return
	}
	if c := preemptor.cell; c != nil {
		c.evicts = append(c.evicts, s.now)
	}
	s.judgeSpared(victim, preemptor)
}

// preemptorOf returns the pod of the highest priority that waits for a victim's node, and has a higher one than the victim.
func (s *state) preemptorOf(victim *pod) (preemptor *pod) {
	node := victim.object.Spec.NodeName
	for _, p := range s.names {
		if p.bound() || !p.live() || node == "" || !s.waitsFor(p, node) || priority(p) <= priority(victim) {
			continue
		}
		if preemptor == nil || priority(p) > priority(preemptor) || priority(p) == priority(preemptor) && p.key() < preemptor.key() {
			preemptor = p
		}
	}
	return preemptor
}

// waitsFor reports whether a pod may wait for a node: it is pinned to it, or nominated for it.
func (s *state) waitsFor(p *pod, node string) bool {
	if target, pinned := pinnedTo(&p.object.Spec); pinned {
		return target == node
	}
	return p.object.Status.NominatedNodeName == node
}

func priority(p *pod) int32 { return schedcorev1.PodPriority(p.object) }

// judgeSpared judges S6: a victim could not have stayed. What was evicted before for the same pod and still exists counts as
// gone.
func (s *state) judgeSpared(victim, preemptor *pod) {
	if victim.cell != nil && victim.cell == preemptor.cell {
		return // a twin of lower priority
	}
	group := s.groupOf(victim, preemptor)
	node := s.nodes[victim.object.Spec.NodeName]
	if node == nil || node.object == nil || len(node.object.Status.Allocatable) == 0 {
		s.unjudged(S6)
		return
	}
	for _, one := range group.victims {
		kept := s.podsOn(node.name, func(p *pod) bool { return p == one || !slices.Contains(group.victims, p) && p != preemptor })
		if one.cell != nil && one.cell == preemptor.cell {
			continue
		}
		kept = append(kept, s.nominated(preemptor, node.name)...)
		if fitsAmong(preemptor.object, kept, node.object) && !needsMore(preemptor.object) {
			s.violated(S6, one.key(), "it was evicted for pod %s, which would fit node %s with it", preemptor.key(), node.name)
		}
	}
}

// groupOf adds a victim to those of its evaluation.
func (s *state) groupOf(victim, preemptor *pod) *eviction {
	for _, known := range s.preempted {
		if known.preemptor == preemptor {
			if slices.ContainsFunc(known.victims, func(p *pod) bool { return p.gone }) {
				known.victims = nil // another evaluation
			}
			known.victims = append(known.victims, victim)
			return known
		}
	}
	known := &eviction{preemptor: preemptor, victims: []*pod{victim}}
	s.preempted = append(s.preempted, known)
	return known
}

// podsOn returns the pods on a node.
func (s *state) podsOn(node string, is func(*pod) bool) (pods []*corev1.Pod) {
	for _, p := range s.names {
		if p.object.Spec.NodeName == node && !p.finished() && is(p) {
			pods = append(pods, p.object)
		}
	}
	return pods
}

// nominated returns other pods for which room on a node is reserved.
func (s *state) nominated(preemptor *pod, node string) (pods []*corev1.Pod) {
	for _, p := range s.names {
		if p != preemptor && !p.bound() && p.object.Status.NominatedNodeName == node && priority(p) >= priority(preemptor) {
			pods = append(pods, p.object)
		}
	}
	return pods
}
