package simulation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// What other programs put on pods.
const (
	foreignLabel     = "simulation/foreign"
	foreignGate      = "simulation/gate"
	foreignFinalizer = "simulation/finalizer"
)

// squat takes the name of a pod that a controller is about to create.
func (c *Cluster) squat() {
	for _, of := range c.controllers {
		if of.process == nil {
			continue
		}
		for _, t := range of.process.tasks {
			if r := t.request; t.at == beforeRequest && r.Verb == "create" && r.Resource == string(history.Pods) && !r.DryRun {
				c.tryCreate("a pod that takes the name", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: r.Name, Labels: map[string]string{foreignLabel: "true"}}})
				return
			}
		}
	}
}

// tryCreate creates an object unless it exists or is refused.
func (c *Cluster) tryCreate(what string, object client.Object) {
	_, err := c.api.Create(object)
	c.note("another program creates %s %s: %v", what, object.GetName(), err)
}

// forge creates a pod for a node as a DaemonSet would: with its labels, and with its controller reference or without.
func (c *Cluster) forge(owned bool) {
	c.onSet(func(stored client.Object) {
		c.onNode(func(node *corev1.Node) {
			set := fixture.FromStored(stored)
			pod := daemon.NewPod(daemon.NewTemplate(fixture.Workload(set), "forged"), node, fmt.Sprintf("forged-%d", c.api.Revision()))
			pod.Labels[foreignLabel] = "true"
			if !owned {
				pod.OwnerReferences = nil
			}
			if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByWebhook); err != nil {
				panic(err) // the template pins to no other node
			}
			c.tryCreate("a pod of "+set.Name+" for "+node.Name, pod)
		})
	})
}

// spoilRecord deletes a ControllerRevision, or takes its owner away.
func (c *Cluster) spoilRecord() {
	records := c.api.List(history.ControllerRevisions)
	if len(records) == 0 {
		return
	}
	record := pick(c, records)
	if c.chance(50) {
		c.note("another program deletes record %s", record.GetName())
		c.api.Delete(record, memory.Background)
		return
	}
	c.note("another program takes the owner of record %s away", record.GetName())
	c.api.Change(record, func(object client.Object) { object.SetOwnerReferences(nil) })
}

// release does what other programs do in the end: they remove their gates and finalizers from pods.
func (c *Cluster) release(pod *corev1.Pod) {
	gated := slices.ContainsFunc(pod.Spec.SchedulingGates, isForeign)
	if !gated && !slices.Contains(pod.Finalizers, foreignFinalizer) {
		return
	}
	c.note("another program releases pod %s", pod.Name)
	c.api.Change(pod, func(object client.Object) {
		spec := &object.(*corev1.Pod).Spec
		spec.SchedulingGates = slices.DeleteFunc(spec.SchedulingGates, isForeign)
		object.SetFinalizers(slices.DeleteFunc(object.GetFinalizers(), func(name string) bool { return name == foreignFinalizer }))
	})
}

func isForeign(gate corev1.PodSchedulingGate) bool { return gate.Name == foreignGate }

// hold adds a finalizer to a pod.
func (c *Cluster) hold(pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil || slices.Contains(pod.Finalizers, foreignFinalizer) {
		return // the API server accepts no new finalizers then
	}
	c.note("another program adds a finalizer to pod %s", pod.Name)
	c.api.Change(pod, func(object client.Object) { object.SetFinalizers(append(object.GetFinalizers(), foreignFinalizer)) })
}

// className is the RuntimeClass, and the PriorityClass, that templates name.
const className = "class"

// togglePriorityClass creates the PriorityClass, or deletes it.
func (c *Cluster) togglePriorityClass() {
	class := c.api.Get(memory.PriorityClasses, "", className)
	c.note("the PriorityClass exists: %v", class == nil)
	if class != nil {
		c.api.Delete(class, memory.Background)
		return
	}
	c.create(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: className}, Value: 1000})
}

// addBudget adds a PodDisruptionBudget that the disruption controller cannot compute.
func (c *Cluster) addBudget() {
	one := intstr.FromInt32(1)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("budget-%d", c.api.Revision())},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "d"}}},
	}
	c.note("a user adds a PodDisruptionBudget")
	made := c.create(budget)
	c.api.Change(made, func(object client.Object) {
		object.(*policyv1.PodDisruptionBudget).Status.Conditions = []metav1.Condition{{
			Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, LastTransitionTime: metav1.NewTime(c.clock.Now()),
		}}
	})
}

// toggle changes which nodes a policy is about.
func (c *Cluster) toggle(what string, nodes map[string]bool) {
	c.onNode(func(node *corev1.Node) {
		nodes[node.Name] = !nodes[node.Name]
		c.note("a policy %s pods for node %s: %v", what, node.Name, nodes[node.Name])
	})
}
