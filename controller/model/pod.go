package model

import (
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// Pod is the part of a pod that is kept, both in the informers' cache and in its cell. There may be hundreds of
// thousands, and an empty corev1.Pod takes more than a kilobyte. For a pod that concerns no daemon of ours only
// the name is kept. It is immutable.
type Pod struct {
	// Object is nil. Informers require all of its methods, and call four.
	metav1.Object

	daemon.Pod // as in its cell; for other pods only the name, the UID and the version

	family     unique.Handle[family]
	site       unique.Handle[site] // the zero value for a pod that is neither ours nor an orphan
	ours       bool                // it is of a daemon of ours
	manyLabels bool                // more than are kept: no selector is compared with them
}

// family is what the pods of a daemon and a revision have in common, and site what those of a node have. Their
// texts are stored once for all pods that share the handle.
type family struct {
	namespace, revision string
	owner               types.UID
	daemon              string       // the owner's name
	labels              packedLabels // of a pod that selectors are compared with
}

type site struct {
	node string
	uid  types.UID
}

// GetNamespace, GetName, GetUID and GetResourceVersion are the methods that informers call.
func (p *Pod) GetNamespace() string       { return p.family.Value().namespace }
func (p *Pod) GetName() string            { return p.Name }
func (p *Pod) GetUID() types.UID          { return p.UID }
func (p *Pod) GetResourceVersion() string { return p.Version }

// Ours reports whether a daemon of ours controls the pod.
func (p *Pod) Ours() bool { return p.ours }

// Cell returns the cell of a pod of ours.
func (p *Pod) Cell() daemon.CellKey {
	if !p.ours {
		return daemon.CellKey{}
	}
	common := p.family.Value()
	return daemon.CellKey{Namespace: common.namespace, Owner: common.owner, Node: p.site.Value().node}
}

// orphanOn returns the node of a pod that a daemon may adopt: it has no controller and is not terminating. It
// is empty for any other pod.
func (p *Pod) orphanOn() string {
	if p.ours || p.site == (unique.Handle[site]{}) {
		return ""
	}
	return p.site.Value().node
}

// PodState identifies a state of a pod. A list after a gap in the watch puts every pod into the cache again,
// without an event for unchanged ones.
type PodState struct {
	UID     types.UID
	Version string
}

// State returns the pod's state.
func (p *Pod) State() PodState { return PodState{p.UID, p.Version} }

// labels returns those of a pod that is ours or may be adopted. Many are looked up in a map, because a selector
// may have as many.
func (p *Pod) labels() labels.Labels {
	packed := p.family.Value().labels
	const few = 1 << 10
	if len(packed) <= few {
		return packed
	}
	set := labels.Set{}
	for pair := range strings.SplitSeq(string(packed), ",") {
		name, value, _ := strings.Cut(pair, "=")
		set[name] = value
	}
	return set
}

// ObservePod extracts the part of a pod that is kept.
func (k Kinds) ObservePod(pod *corev1.Pod) *Pod {
	seen := &Pod{Pod: daemon.Pod{Name: pod.Name, UID: pod.UID, Version: pod.ResourceVersion}, manyLabels: tooManyLabels(pod.Labels)}
	common := family{namespace: pod.Namespace}
	cell, ours := k.cellOf(pod)
	switch {
	case ours:
		seen.ours, seen.Pod = true, daemon.ObservePod(pod)
		common.owner, common.revision = cell.Owner, seen.Revision
		common.daemon = daemon.ControllerOf(pod).Name
		seen.site = unique.Make(site{cell.Node, seen.NodeUID})
		seen.Wait = daemon.ObserveWait(pod, cell.Node, placementsFor(pod))
	case adoptable(pod) && !seen.manyLabels:
		if node, pinned := daemon.Target(pod); pinned {
			seen.site = unique.Make(site{node: node})
		}
	}
	if !seen.manyLabels && seen.site != (unique.Handle[site]{}) {
		common.labels = packLabels(pod.Labels)
	}
	seen.family = unique.Make(common)
	if ours { // replace texts by shared ones
		seen.Revision, seen.NodeUID = seen.family.Value().revision, seen.site.Value().uid
	}
	return seen
}

// placementsFor returns where the placement of a pod of ours is found, nil if it is not judged.
func placementsFor(pod *corev1.Pod) *daemon.Placements {
	if daemon.KindOf(daemon.ControllerOf(pod)).BlocksNodes() {
		return &placements
	}
	return nil
}

func adoptable(pod *corev1.Pod) bool {
	return len(pod.OwnerReferences) <= daemon.MaxOwners && daemon.ControllerOf(pod) == nil && pod.DeletionTimestamp == nil
}

// cellOf returns the cell of a pod of a daemon of ours.
func (k Kinds) cellOf(pod *corev1.Pod) (daemon.CellKey, bool) {
	if !k.Owns(pod) {
		return daemon.CellKey{}, false
	}
	return daemon.CellOf(pod)
}

// packedLabels are labels as one text, which all pods of a family share: name=value, separated by commas, which
// neither may contain.
type packedLabels string

var _ labels.Labels = packedLabels("")

// Users must not decide how much is kept of a pod: a pod with more labels is not adopted, and one that a daemon
// has stays its own.
const (
	mostLabels     = 1_000
	mostLabelBytes = 16 << 10
)

func tooManyLabels(set labels.Set) bool {
	if len(set) > mostLabels {
		return true
	}
	size := 0
	for name, value := range set {
		size += len(name) + len(value)
	}
	return size > mostLabelBytes
}

func packLabels(set labels.Set) packedLabels { return packedLabels(set.String()) }

// Lookup implements labels.Labels.
func (l packedLabels) Lookup(name string) (value string, has bool) {
	for rest := string(l); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, ",")
		if label, value, _ := strings.Cut(pair, "="); label == name {
			return value, true
		}
	}
	return "", false
}

// Has implements labels.Labels.
func (l packedLabels) Has(name string) bool {
	_, has := l.Lookup(name)
	return has
}

// Get implements labels.Labels.
func (l packedLabels) Get(name string) string {
	value, _ := l.Lookup(name)
	return value
}
