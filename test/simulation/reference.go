package simulation

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// episode is a change by users, after which the cluster settles.
type episode struct {
	name string
	do   func(*Cluster)
}

// reference is the life of a DaemonSet whose writes are the crash points.
func reference(native bool) []episode {
	resource := history.DaemonSets
	if native {
		resource = history.NativeDaemonSets
	}
	set := func(c *Cluster) client.Object { return c.api.Get(resource, namespace, "d") }
	node := func(c *Cluster, name string) client.Object { return c.api.Get(history.Nodes, "", name) }
	image := func(n int) func(*Cluster) {
		return func(c *Cluster) { c.setImage(set(c), fmt.Sprintf("image:%d", n)) }
	}
	return []episode{
		{"create", func(c *Cluster) {
			c.addNode()
			c.addNode()
			c.addDaemon("d", native, limits{unavailable: 1}, func(set *v1alpha1.DaemonSet) {
				one := int32(1)
				set.Spec.RevisionHistoryLimit = &one
			})
		}},
		{"a node joins", (*Cluster).addNode},
		{"a node leaves", func(c *Cluster) { c.removeNode(node(c, "n02")) }},
		{"a node is closed", func(c *Cluster) { c.setTaint(node(c, "n03"), dedicated, corev1.TaintEffectNoExecute) }},
		{"and opened", func(c *Cluster) { c.setTaint(node(c, "n03"), dedicated, "") }},
		{"a rollout", image(2)},
		{"another rollout", image(3)},
		{"a rollback", image(2)},
		{"from now on it surges", func(c *Cluster) { c.setLimits(set(c), limits{surge: 1}) }},
		{"a rollout that surges", image(4)},
		{"delete", func(c *Cluster) { c.deleteSet(set(c), memory.Background) }},
	}
}

// Point is a write of a controller in the reference run, and what happens to it.
type Point struct {
	Write   int // counted from 1; 0 for a run without a fault
	Outcome Outcome
}

// PointOutcomes are what happens at each write.
var PointOutcomes = []Outcome{CrashBefore, CrashAfter, ReplyLost, Conflict, TooManyRequests, InternalError, Timeout}

// calm is how long nothing is written until an episode is over: longer than the engine waits for an event that does not come.
const calm = 70 * time.Second

// Reference runs the reference with a fault at one write. It returns how many writes there were, and whether the fault
// happened.
func Reference(native bool, at Point) (run *Run, writes int, hit bool) {
	c := newCluster(1, model.Kinds{Everynode: !native, Apps: native}, 1, 1)
	c.journal.history.Title = fmt.Sprintf("reference, native %v, write %d: %s", native, at.Write, at.Outcome)
	defer c.end()
	c.outcomes = func(_ *process, request *history.Request) Outcome {
		if request.Verb == "get" || request.DryRun {
			return Served
		}
		if writes++; writes != at.Write {
			return Served
		}
		hit = true
		return at.Outcome
	}
	c.controllers[0].start(0)
	var states []string
	for _, part := range reference(native) {
		c.note("episode: %s", part.name)
		part.do(c)
		c.settle(calm)
		states = append(states, part.name)
		states = append(states, c.state()...)
	}
	run = c.result()
	run.state = states
	return run, writes, hit
}

// state describes the cluster in a form that is equal for clusters that differ only in names, UIDs and times.
func (c *Cluster) state() (lines []string) {
	for _, pod := range c.pods() {
		node, _ := daemon.Target(pod)
		lines = append(lines, fmt.Sprintf("pod of %s on %s, revision %s, %s, ready %v, terminating %v", pod.OwnerReferences[0].Name, node,
			pod.Labels[revisionLabel], pod.Status.Phase, isReady(pod), pod.DeletionTimestamp != nil))
	}
	slices.Sort(lines) // names are not comparable
	for _, record := range listed[*appsv1.ControllerRevision](c, history.ControllerRevisions) {
		lines = append(lines, fmt.Sprintf("record %s, number %d: %s", record.Name, record.Revision, record.Data.Raw))
	}
	for _, stored := range c.sets() {
		status := fixture.FromStored(stored).Status
		for i := range status.Conditions {
			status.Conditions[i].LastTransitionTime = metav1.Time{}
		}
		lines = append(lines, fmt.Sprintf("%s: %+v", stored.GetName(), status))
	}
	return lines
}
