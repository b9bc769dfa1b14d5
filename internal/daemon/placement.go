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

// Admission may add placement to a pod: a nodeSelector, required node affinity, or fewer tolerations than the template
// has. The stored pod then shows whether its target node can ever take it.

// Placement is what a pod asks of its target node beside the node's name. Pods that ask for the same share one. It is
// immutable.
type Placement struct {
	selector    map[string]string
	terms       *nodeaffinity.LazyErrorNodeSelector // nil when any node will do
	tolerations []corev1.Toleration
}

// maxShown is how many bytes of one requirement a reason shows.
const maxShown = 200

// Excludes reports whether a node can never take a pod of this placement, and why. The reason does not name the node,
// so that nodes share it.
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

// Placements finds the placement of pods and has equal ones share it. It is safe for concurrent use.
type Placements struct {
	mu    sync.Mutex
	known map[string]*Placement
	size  int // bytes of the keys of known
}

// What is kept to be shared is bounded: beyond that, sharing begins again. A placement lives on with its pods.
const (
	sharedPlacements = 1_000
	sharedBytes      = 1 << 20
)

// Of is the placement of a pod that is not bound, nil for one that asks for more than a template may: it is not judged.
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
	if err != nil { // a value that protobuf cannot hold; the API server stores none
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

// unpinned are the terms without their pins to the target node; anywhere is true when one of them has nothing else, or
// when there are none. Terms that match no node because they are empty are left out.
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
