package controller

import (
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// seenPod is what the cache keeps of a pod, in place of the pod: there may be hundreds of
// thousands, and a corev1.Pod takes more than a kilobyte when it is empty. Of a pod that
// concerns no daemon of ours it is the name alone. It is immutable.
type seenPod struct {
	// Object is nil. Informers take an object for what has all of its methods, and call four.
	metav1.Object

	Namespace, Name string
	UID             types.UID
	version         string

	cell       daemon.CellKey // of a pod of a daemon of ours
	ours       bool
	observed   *daemon.Pod // of a pod that is ours
	manyLabels bool        // more than are kept: no selector is compared with them
	orphanOn   string      // the node of a pod that a daemon may adopt: it has no controller and lives

	family unique.Handle[family]
	site   unique.Handle[site]
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
func (p *seenPod) GetNamespace() string       { return p.Namespace }
func (p *seenPod) GetName() string            { return p.Name }
func (p *seenPod) GetUID() types.UID          { return p.UID }
func (p *seenPod) GetResourceVersion() string { return p.version }

// labels are those of a pod that is ours or may be adopted. Many are looked up in a map: a selector may
// ask for as many.
func (p *seenPod) labels() labels.Labels {
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

// seePod takes from a pod what is kept.
func (k Kinds) seePod(pod *corev1.Pod) *seenPod {
	seen := &seenPod{Name: pod.Name, UID: pod.UID, version: pod.ResourceVersion}
	seen.cell, seen.ours = k.cellOf(pod)
	if !seen.ours && len(pod.OwnerReferences) <= daemon.MaxOwners && daemon.ControllerOf(pod) == nil && pod.DeletionTimestamp == nil {
		seen.orphanOn, _ = daemon.Target(pod)
	}
	common := family{namespace: pod.Namespace}
	if seen.manyLabels = tooManyLabels(pod.Labels); seen.manyLabels {
		seen.orphanOn = ""
	} else if seen.ours || seen.orphanOn != "" {
		common.labels = packLabels(pod.Labels)
	}
	if seen.ours {
		observed := daemon.ObservePod(pod)
		common.owner, common.revision = seen.cell.Owner, observed.Revision
		common.daemon = daemon.ControllerOf(pod).Name
		seen.observed, seen.site = &observed, unique.Make(site{seen.cell.Node, observed.NodeUID})
	}
	seen.family = unique.Make(common)
	seen.share()
	return seen
}

// cellOf is the cell that a pod of a daemon of ours belongs to.
func (k Kinds) cellOf(pod *corev1.Pod) (daemon.CellKey, bool) {
	if !k.owns(pod) {
		return daemon.CellKey{}, false
	}
	return daemon.CellOf(pod)
}

// share exchanges the texts of a pod for those that others have too.
func (p *seenPod) share() {
	common := p.family.Value()
	p.Namespace = common.namespace
	if p.ours {
		at := p.site.Value()
		p.cell = daemon.CellKey{Namespace: common.namespace, Owner: common.owner, Node: at.node}
		p.observed.Revision, p.observed.NodeUID = common.revision, at.uid
	}
}

// trimPod is seePod as the transform of an informer.
func (k Kinds) trimPod(object any) (any, error) {
	switch pod := object.(type) {
	case *leanPod:
		return k.seePod(&pod.Pod), nil
	case *corev1.Pod: // of a list
		return k.seePod(pod), nil
	}
	return object, nil // seen already, or the note of a delete that was missed
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
