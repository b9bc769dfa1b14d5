package daemon

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Hold is what a daemon's rollout holds back: spec.rollout, parsed. It is read-only.
type Hold struct {
	// Paused: no node is admitted, and no permit is given.
	Paused bool
	// Order are the label keys by whose values nodes are admitted and permitted.
	Order []string

	partition     intstr.IntOrString // the nodes that keep the stable revision
	nodes         labels.Selector    // those that may be admitted; nil for all
	joinOnUpdate  bool               // nodes that join are admitted at once
	auto          bool               // of these two, the rollout says nothing
	closed        bool               // it is paused because it is closed (gate.go)
	joinsByWave   bool               // nodes that join are admitted at once unless a wave is open that does not want all
	joinsOnStable bool               // nodes that join start with the stable revision, even when nothing else is held
	dead          *deadNodes         // nil if dead nodes count like all others
	waves         []Wave
	labelled      bool   // whether a node may be admitted, or when, depends on its labels
	text          string // of spec.rollout; equal for equal ones
}

// The most that a rollout may have. The schema of the CRD has the same limits, but an object may be stored without it.
const (
	maxOrder       = 3
	maxRolloutSize = 16 * (2 + 64) // labels, requirements and values of its node selector
)

// NewHold parses spec.rollout.
func NewHold(spec *v1alpha1.Rollout) (*Hold, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("spec.rollout: %w", err)
	}
	hold := &Hold{Paused: spec.Paused, Order: spec.Order, text: string(text)}
	if spec.Partition != nil {
		hold.partition = *spec.Partition
	}
	if !validPartition(&hold.partition) {
		return nil, fmt.Errorf("spec.rollout.partition must be a number of nodes, 0 or more, or a percentage from 0%% to 100%%, and is %q", hold.partition.String())
	}
	if len(spec.Order) > maxOrder {
		return nil, fmt.Errorf("spec.rollout.order has %d keys, at most %d are served", len(spec.Order), maxOrder)
	}
	if hold.nodes, err = nodeSelector(spec.NodeSelector); err != nil {
		return nil, fmt.Errorf("spec.rollout.nodeSelector: %w", err)
	}
	if hold.dead, err = newDeadNodes(spec.DeadNodes); err != nil {
		return nil, fmt.Errorf("spec.rollout.deadNodes: %w", err)
	}
	if hold.waves, err = newWaves(spec.Waves); err != nil {
		return nil, err
	}
	hold.labelled = hold.nodes != nil || len(hold.Order) > 0 || slices.ContainsFunc(hold.waves, func(wave Wave) bool { return wave.selector != nil })
	restricts := hold.Paused || hold.nodes != nil || !zero(hold.partition)
	switch spec.NewNodes {
	case v1alpha1.NewNodesUpdate:
		hold.joinOnUpdate = true
	case v1alpha1.NewNodesStable:
		hold.joinsOnStable = true
	case v1alpha1.NewNodesAuto, "":
		hold.joinOnUpdate, hold.auto = !restricts, true
		hold.joinsByWave = !restricts && len(hold.waves) > 0
	default:
		return nil, fmt.Errorf("spec.rollout.newNodes must be Auto, Stable or Update, and is %q", spec.NewNodes)
	}
	return hold, nil
}

var percentage = regexp.MustCompile(`^([0-9]{1,2}|100)%$`)

func validPartition(partition *intstr.IntOrString) bool {
	if partition.Type == intstr.Int {
		return partition.IntVal >= 0
	}
	return percentage.MatchString(partition.StrVal)
}

func zero(partition intstr.IntOrString) bool { return strings.Trim(partition.String(), "0%") == "" }

// nodeSelector parses a selector; nil selects all nodes.
func nodeSelector(spec *v1alpha1.RolloutNodeSelector) (labels.Selector, error) {
	if spec == nil || len(spec.MatchLabels)+len(spec.MatchExpressions) == 0 {
		return nil, nil
	}
	selector := &metav1.LabelSelector{MatchLabels: spec.MatchLabels}
	size := 2 * len(spec.MatchLabels)
	for i := range spec.MatchExpressions {
		of := &spec.MatchExpressions[i]
		size += 1 + len(of.Values)
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{Key: of.Key, Operator: metav1.LabelSelectorOperator(of.Operator), Values: of.Values})
	}
	if size > maxRolloutSize {
		return nil, fmt.Errorf("it has %d labels, requirements and values in all, at most %d are served", size, maxRolloutSize)
	}
	return metav1.LabelSelectorAsSelector(selector)
}

// kept returns how many of a number of eligible nodes keep the stable revision. Percentages round down, so that at least
// one node is updated if less than 100% are kept.
func (h *Hold) kept(desired int) int {
	if h.partition.Type == intstr.Int {
		return min(int(h.partition.IntVal), desired)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(h.partition.StrVal, "%"))
	if err != nil {
		return 0
	}
	return desired * percent / 100
}

// limited reports whether the number of nodes that may be admitted depends on how many there are.
func (h *Hold) limited() bool { return !zero(h.partition) }

// restricts reports whether some nodes are not admitted although all others are. Once all nodes are admitted, what closes a
// rollout does not keep the update revision from becoming stable.
func (h *Hold) restricts(desired int) bool {
	return h.Paused && !h.closed || h.nodes != nil || h.kept(desired) > 0
}

// selects reports whether a node may be admitted, as far as that depends on its labels. An unknown node may not, unless all may.
func (h *Hold) selects(node *NodeFacts) bool {
	return !h.Paused && (h.nodes == nil || node != nil && h.nodes.Matches(labels.Set(node.Labels)))
}

// rank is a node's place in the order: nodes with lower ranks come first. Nodes without a label come after those with it.
func (h *Hold) rank(node *NodeFacts) string {
	if len(h.Order) == 0 || node == nil {
		return ""
	}
	var rank strings.Builder
	for _, key := range h.Order {
		value, has := node.Labels[key]
		if !has {
			value = "~" // after every character of a label's value
		}
		rank.WriteString(value)
		rank.WriteByte(0)
	}
	return rank.String()
}

// reads returns the labels that the targets and the order of nodes depend on.
func (h *Hold) reads() Reads {
	if h == nil {
		return Reads{}
	}
	keys := slices.Clone(h.Order)
	add := func(selector labels.Selector) {
		if selector == nil {
			return
		}
		requirements, _ := selector.Requirements()
		for i := range requirements {
			keys = append(keys, requirements[i].Key())
		}
	}
	add(h.nodes)
	for i := range h.waves {
		add(h.waves[i].selector)
	}
	return Reads{Labels: keys, Readiness: h.dead != nil}
}

// holdsAs reports whether a state holds back what another one does, apart from waves that have passed.
func (s *RolloutState) holdsAs(other *RolloutState) bool {
	return s.holds() == other.holds() && s.Wave >= other.Wave && s.Stable == other.Stable && s.admitted() == other.admitted() && s.Hold.same(other.Hold)
}

// same reports whether two holds mean the same; either may be nil.
func (h *Hold) same(other *Hold) bool {
	if h == nil || other == nil {
		return h == other
	}
	return h.text == other.text
}

// why describes what holds nodes back.
func (h *Hold) why() string {
	var reasons []string
	if h.Paused {
		reasons = append(reasons, "the rollout is paused")
	}
	if !zero(h.partition) {
		reasons = append(reasons, "partition is "+h.partition.String())
	}
	if h.nodes != nil {
		reasons = append(reasons, "nodeSelector is "+Shorten(h.nodes.String(), shownSelector))
	}
	return strings.Join(reasons, ", ")
}

// shownSelector bounds the text of a node selector in a condition.
const shownSelector = 200
