package daemon

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Admission may add placement to a pod: a nodeSelector, required node affinity, or fewer tolerations than the
// template has. The stored pod then shows whether its target node can ever take it.

// Placement is what a pod requires of its target node besides its name. Pods with the same requirements share
// one. It is immutable.
type Placement struct {
	selector    map[string]string
	terms       *nodeaffinity.LazyErrorNodeSelector // nil if any node matches
	tolerations []corev1.Toleration
}

// maxShown is how many bytes of a requirement a reason contains.
const maxShown = 200

// Excludes reports whether a node can never take a pod of this placement, and why. The reason does not contain
// the node's name, so that nodes share it.
func (p *Placement) Excludes(node *corev1.Node) (why string, excluded bool) {
	for _, key := range slices.Sorted(maps.Keys(p.selector)) {
		if value, has := node.Labels[key]; !has || value != p.selector[key] {
			return fmt.Sprintf("nodeSelector %s, which the node does not have", Shorten(key+"="+p.selector[key], maxShown)), true
		}
	}
	if p.terms != nil {
		if matches, _ := p.terms.Match(node); !matches { // an error is a term that does not parse: it matches nothing
			return "required node affinity that the node does not match", true
		}
	}
	closes := func(taint *corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
	}
	if len(node.Spec.Taints) == 0 {
		return "", false
	}
	if taint, found := schedcorev1.FindMatchingUntoleratedTaint(klog.Logger{}, node.Spec.Taints, p.tolerations, closes, true); found {
		return fmt.Sprintf("no toleration of the node's taint %s", Shorten(taint.ToString(), maxShown)), true
	}
	return "", false
}

// Excludes reports whether a node can never take a pod, and why. The pod is excluded from a node that it is not pinned to.
func Excludes(pod *corev1.Pod, node *corev1.Node) (why string, excluded bool) {
	if target, pinned := Target(pod); !pinned || target != node.Name {
		return "another node", true
	}
	var placements Placements
	placement := placements.Of(pod, node.Name)
	if placement == nil {
		return "more requirements than are looked at", true
	}
	return placement.Excludes(node)
}

// Placements returns the placement of pods, shared by equal ones. It is safe for concurrent use.
type Placements struct {
	mu    sync.Mutex
	known map[string]*Placement
	size  int // bytes of the keys of known
}

// Bounds of the shared placements; beyond these, sharing begins again. A placement lives as long as its pods.
const (
	sharedPlacements = 1_000
	sharedBytes      = 1 << 20
)

// Of returns the placement of a pod that is not bound, nil for one with more requirements than a template may
// have: it is not judged.
func (p *Placements) Of(pod *corev1.Pod, target string) *Placement {
	spec := &pod.Spec
	if countRequirements(spec) > MaxRequirements || len(spec.Tolerations) > MaxRequirements {
		return nil
	}
	asked := corev1.PodSpec{NodeSelector: spec.NodeSelector, Tolerations: spec.Tolerations}
	if terms, anywhere := unpinned(requiredTerms(spec), target); !anywhere {
		asked.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
		}}
	}
	key, err := asked.Marshal()
	if err != nil { // a value that protobuf cannot encode, which the API server does not store
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.known[string(key)]; ok {
		return known
	}
	placement := newPlacement(&asked)
	if p.known == nil || len(p.known) >= sharedPlacements || p.size+len(key) > sharedBytes {
		p.known, p.size = map[string]*Placement{}, 0
	}
	p.known[string(key)], p.size = placement, p.size+len(key)
	return placement
}

func newPlacement(asked *corev1.PodSpec) *Placement {
	own := asked.DeepCopy()
	placement := &Placement{selector: own.NodeSelector, tolerations: own.Tolerations}
	if own.Affinity != nil {
		placement.terms = nodeaffinity.NewLazyErrorNodeSelector(own.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	return placement
}

// unpinned returns the terms without their pins to the target node; anywhere is true if one of them has nothing
// else, or if there are none. Terms that match no node because they are empty are left out.
func unpinned(terms []corev1.NodeSelectorTerm, target string) (rest []corev1.NodeSelectorTerm, anywhere bool) {
	if len(terms) == 0 {
		return nil, true
	}
	for i := range terms {
		if empty(&terms[i]) {
			continue
		}
		term := corev1.NodeSelectorTerm{MatchExpressions: terms[i].MatchExpressions}
		for j := range terms[i].MatchFields {
			if field := &terms[i].MatchFields[j]; !pinsTo(field, target) {
				term.MatchFields = append(term.MatchFields, *field)
			}
		}
		if empty(&term) {
			return nil, true
		}
		rest = append(rest, term)
	}
	return rest, false
}
