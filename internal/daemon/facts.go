package daemon

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NodeFacts are the facts of a node that targets may depend on. They are stored once for each node, and contain
// no part of its status that is not read, because kubelets write that every few seconds.
type NodeFacts struct {
	Name   string
	UID    types.UID
	Labels map[string]string // of the node, all of them; read only

	Ready      corev1.ConditionStatus // empty for a node without the condition, which does not count as dead
	ReadySince time.Time              // the last transition of Ready
	// Lifecycle are the lifecycle conditions that are True, by type, and since when (KEP-5683).
	Lifecycle   []LifecycleCondition
	BootID      string
	Allocatable corev1.ResourceList // read only
}

// LifecycleCondition is a condition that is True.
type LifecycleCondition struct {
	Type  corev1.NodeConditionType
	Since time.Time
}

// lifecycleConditions are the well-known ones, which administrators and kubelets set.
var lifecycleConditions = []corev1.NodeConditionType{
	corev1.NodeDrainInProgress, corev1.NodeDrained, corev1.NodeGracefulNodeShutdownInProgress,
	corev1.NodeMaintenanceInProgress, corev1.NodeMaintenancePlanned,
}

// Reads are the facts of a node that something depends on, besides its name and UID.
type Reads struct {
	Labels []string // their keys

	Readiness, Lifecycle, BootID, Allocatable bool
}

// Status reports whether any of the facts is in a node's status.
func (r Reads) Status() bool { return r.Readiness || r.Lifecycle || r.BootID || r.Allocatable }

// ObserveNode extracts from a node the facts that are read.
func ObserveNode(node *corev1.Node, reads Reads) NodeFacts {
	facts := NodeFacts{Name: node.Name, UID: node.UID, Labels: node.Labels}
	if !reads.Status() {
		return facts
	}
	for i := range node.Status.Conditions {
		switch condition := &node.Status.Conditions[i]; {
		case reads.Readiness && condition.Type == corev1.NodeReady:
			facts.Ready, facts.ReadySince = condition.Status, condition.LastTransitionTime.Time
		case reads.Lifecycle && condition.Status == corev1.ConditionTrue && slices.Contains(lifecycleConditions, condition.Type):
			facts.Lifecycle = append(facts.Lifecycle, LifecycleCondition{condition.Type, condition.LastTransitionTime.Time})
		}
	}
	slices.SortFunc(facts.Lifecycle, func(a, b LifecycleCondition) int { return cmp.Compare(a.Type, b.Type) })
	if reads.BootID {
		facts.BootID = node.Status.NodeInfo.BootID
	}
	if reads.Allocatable {
		facts.Allocatable = node.Status.Allocatable
	}
	return facts
}

// NodeChanged reports whether a fact that is read has changed, without comparing the others.
func NodeChanged(before, now *corev1.Node, reads Reads) bool {
	if before.UID != now.UID {
		return true
	}
	for _, key := range reads.Labels {
		was, had := before.Labels[key]
		if is, has := now.Labels[key]; was != is || had != has {
			return true
		}
	}
	if !reads.Status() {
		return false
	}
	a, b := ObserveNode(before, reads), ObserveNode(now, reads)
	return a.Ready != b.Ready || !a.ReadySince.Equal(b.ReadySince) || a.BootID != b.BootID ||
		!slices.EqualFunc(a.Lifecycle, b.Lifecycle, LifecycleCondition.equal) || !sameResources(a.Allocatable, b.Allocatable)
}

func (c LifecycleCondition) equal(other LifecycleCondition) bool {
	return c.Type == other.Type && c.Since.Equal(other.Since)
}

func sameResources(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, was := range a {
		if is, there := b[name]; !there || is.Cmp(was) != 0 {
			return false
		}
	}
	return true
}

// TrimNodeStatus keeps the part of a node's status that is read. It contains nothing that a heartbeat changes.
func TrimNodeStatus(status *corev1.NodeStatus, reads Reads) (trimmed corev1.NodeStatus) {
	for i := range status.Conditions {
		condition := &status.Conditions[i]
		if reads.Readiness && condition.Type == corev1.NodeReady || reads.Lifecycle && slices.Contains(lifecycleConditions, condition.Type) {
			trimmed.Conditions = append(trimmed.Conditions, corev1.NodeCondition{
				Type: condition.Type, Status: condition.Status, LastTransitionTime: condition.LastTransitionTime,
			})
		}
	}
	if reads.BootID {
		trimmed.NodeInfo.BootID = status.NodeInfo.BootID
	}
	if reads.Allocatable {
		trimmed.Allocatable = status.Allocatable
	}
	return trimmed
}
