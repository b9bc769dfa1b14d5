package simulation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/edits"
	"github.com/everynode/everynode/test/faults/checker"
	"github.com/everynode/everynode/test/faults/history"
)

// editsOf is how many edits a DaemonSet gets, beside those that make it valid again.
const editsOf = 10

// passing are the acts that change neither specs nor nodes for good.
var passing = []string{"deletions of pods", "pods that fail", "pods that are not ready", "nodes that are not ready", "finalizers", "releases"}

// Edited runs a cluster that is determined by a seed. The specs of its DaemonSets are edited at random, from valid to invalid and back, while
// faults happen. It has to end as the last specs say, like a cluster whose DaemonSets had these from the beginning (L4).
func Edited(seed uint64) *Run { return editedCluster(seed).runEdited() }

func editedCluster(seed uint64) *Cluster {
	c := randomCluster(seed)
	c.journal.history.Title = fmt.Sprintf("edits, seed %d", seed)
	return c
}

func (c *Cluster) runEdited() *Run {
	defer c.end()
	c.populate()
	for _, set := range c.sets() {
		c.setLimits(set, pick(c, strategies[:4])) // under OnDelete, pods need not have what the last spec says
	}
	c.mixNodes()
	c.editAll()
	c.mark(history.FaultEnds, "all faults end")
	c.repair()
	c.settle(calm)
	c.tidy()
	c.settle(quiet)
	c.mark(history.Settled, "the cluster has settled")
	c.settle(after)
	for _, violation := range checker.SameEnd(c.direct(), c.journal.history) {
		c.violated("%s", violation.String())
	}
	return c.result()
}

// mixNodes gives nodes the labels and taints that edits know.
func (c *Cluster) mixNodes() {
	for i, node := range c.api.List(history.Nodes) {
		if i%2 == 1 {
			c.setLabel(node, edits.Disk, edits.SSD)
		}
		if i%3 == 1 {
			c.setTaint(node, edits.Special, corev1.TaintEffectNoSchedule)
		}
	}
}

// editAll edits all DaemonSets in turns, while anything goes on and faults happen.
func (c *Cluster) editAll() {
	c.mark(history.FaultBegins, "faults begin")
	c.stale = c.chance(50)
	if c.chance(50) {
		c.outcomes = lossy(losses)
	}
	happenings := some(c, slices.DeleteFunc(slices.Clone(acts), func(a act) bool { return !slices.Contains(passing, a.name) }))
	wrong := some(c, faults)
	var due []dueEdits
	for _, set := range c.wanted {
		due = append(due, dueEdits{set, edits.Sequence(c.random, editsOf)})
	}
	for len(due) > 0 {
		i := c.random.IntN(len(due))
		of, rest := due[i].set, due[i].edits
		c.try(c.api.Get(of.resource, namespace, of.name), rest[0])
		if due[i].edits = rest[1:]; len(rest) == 1 {
			due = slices.Delete(due, i, i+1)
		}
		for range c.random.IntN(50) {
			c.happen(happenings, wrong)
		}
	}
}

// dueEdits are the next edits of a DaemonSet, at least one.
type dueEdits struct {
	set   wanted
	edits []edits.Edit
}

// try edits a DaemonSet. Validation refuses an invalid spec; that of everynode.dev is a webhook, which is often not there.
func (c *Cluster) try(stored client.Object, edit edits.Edit) {
	set := fixture.FromStored(stored).DeepCopy()
	edit.Apply(&set.Spec, c.random)
	if !edit.Valid && !valid(&set.Spec) && (fixture.Native(set) || c.chance(50)) {
		c.note("an edit of DaemonSet %s is refused: %s", set.Name, edit.Name)
		return
	}
	c.edit(stored, edit.Name, func(spec *v1alpha1.DaemonSetSpec) { *spec = set.Spec })
}

// valid reports whether validation accepts a spec, of what edits change.
func valid(spec *v1alpha1.DaemonSetSpec) bool {
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil || !selector.Matches(labels.Set(spec.Template.Labels)) {
		return false
	}
	rolling := spec.UpdateStrategy.RollingUpdate
	return rolling == nil || rolling.MaxUnavailable.String() != "0" || rolling.MaxSurge.String() != "0"
}

// tidy deletes the pods that a NoSchedule taint lets stay: the end depends on these too, beside the last spec.
func (c *Cluster) tidy() {
	for _, pod := range c.pods() {
		owner := metav1.GetControllerOfNoCopy(pod)
		target, _ := daemon.Target(pod)
		node, there := c.api.Get(history.Nodes, "", target).(*corev1.Node)
		for _, stored := range c.sets() {
			if there && owner != nil && owner.UID == stored.GetUID() && !edits.Eligible(&fixture.FromStored(stored).Spec, node) {
				c.deletePod(pod)
			}
		}
	}
}

// direct returns the history of a cluster with the same nodes, whose DaemonSets have the last specs from the beginning.
func (c *Cluster) direct() *history.History {
	d := newCluster(0, c.kinds, 1, 1)
	defer d.end()
	d.journal.history.Title = c.journal.history.Title + ", without edits"
	d.openClass()
	for _, node := range listed[*corev1.Node](c, history.Nodes) {
		d.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels}, Spec: node.Spec})
	}
	for _, stored := range c.sets() {
		set := fixture.FromStored(stored).DeepCopy()
		set.ObjectMeta, set.Status = metav1.ObjectMeta{Namespace: set.Namespace, Name: set.Name}, v1alpha1.DaemonSetStatus{}
		d.create(fixture.Stored(set))
	}
	d.controllers[0].start(0)
	d.settle(quiet)
	return d.journal.history
}
