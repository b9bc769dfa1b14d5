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

// Pod is what is kept of a pod, in place of the pod: the informers' cache has it, and its cell. There may be
// hundreds of thousands, and a corev1.Pod takes more than a kilobyte when it is empty. Of a pod that concerns no
// daemon of ours it is the name alone. It is immutable.
type Pod struct {
	// Object is nil. Informers take an object for what has all of its methods, and call four.
	metav1.Object

	daemon.Pod // as its cell has it; of a pod that is not ours the name, the UID and the version alone

	family     unique.Handle[family]
	site       unique.Handle[site] // the zero value for a pod that is neither ours nor to be adopted
	ours       bool                // it is of a daemon of ours
	manyLabels bool                // more than are kept: no selector is compared with them
}

// family is what the pods of a daemon and a revision have in common, and site what those of a node
// have. A text in them is kept once for all pods that hold on to the handle.
type family struct {
	namespace, revision string
	owner               types.UID
	daemon              string       // the owner's name
	labels              packedLabels // of a pod that a selector is compared with
}

type site struct {
	node string
	uid  types.UID
}

// GetNamespace, GetName, GetUID and GetResourceVersion are what informers ask for.
func (p *Pod) GetNamespace() string       { return p.family.Value().namespace }
func (p *Pod) GetName() string            { return p.Name }
func (p *Pod) GetUID() types.UID          { return p.UID }
func (p *Pod) GetResourceVersion() string { return p.Version }

// Ours reports whether a daemon of ours controls the pod.
func (p *Pod) Ours() bool { return p.ours }

// Cell is the cell of a pod that is ours.
func (p *Pod) Cell() daemon.CellKey {
	if !p.ours {
		return daemon.CellKey{}
	}
	common := p.family.Value()
	return daemon.CellKey{Namespace: common.namespace, Owner: common.owner, Node: p.site.Value().node}
}

// orphanOn is the node of a pod that a daemon may adopt: it has no controller and is not terminating. It is
// empty for any other pod.
func (p *Pod) orphanOn() string {
	if p.ours || p.site == (unique.Handle[site]{}) {
		return ""
	}
	return p.site.Value().node
}

// PodState is a pod as it was at some time. A list after a gap in the watch has every pod in the
// cache again, and no event for those that did not change.
type PodState struct {
	UID     types.UID
	Version string
}

// State is the pod's state.
func (p *Pod) State() PodState { return PodState{p.UID, p.Version} }

// labels are those of a pod that is ours or may be adopted. Many are looked up in a map: a selector may
// ask for as many.
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

// ObservePod takes from a pod what is kept.
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
	case adoptable(pod) && !seen.manyLabels:
		if node, pinned := daemon.Target(pod); pinned {
			seen.site = unique.Make(site{node: node})
		}
	}
	if !seen.manyLabels && seen.site != (unique.Handle[site]{}) {
		common.labels = packLabels(pod.Labels)
	}
	seen.family = unique.Make(common)
	if ours { // exchange the texts for those that others have too
		seen.Revision, seen.NodeUID = seen.family.Value().revision, seen.site.Value().uid
	}
	return seen
}

func adoptable(pod *corev1.Pod) bool {
	return len(pod.OwnerReferences) <= daemon.MaxOwners && daemon.ControllerOf(pod) == nil && pod.DeletionTimestamp == nil
}

// cellOf is the cell that a pod of a daemon of ours belongs to.
func (k Kinds) cellOf(pod *corev1.Pod) (daemon.CellKey, bool) {
	if !k.Owns(pod) {
		return daemon.CellKey{}, false
	}
	return daemon.CellOf(pod)
}

// packedLabels are labels as one text, which all pods of a family share: name=value, separated by
// commas, which neither may have in it.
type packedLabels string

var _ labels.Labels = packedLabels("")

// What is kept of a pod must not depend on whoever made it: a pod with more labels is adopted by nobody,
// and one that a daemon has stays its own.
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
