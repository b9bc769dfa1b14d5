// Package lifecycle tests the contract of a DaemonSet on a real control plane: nodes that join,
// leave and change, pods that end, are in excess or have another owner, and deletion.
package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const nodes = 3

// All tests share a lab. Each has its own daemons, and tests that change nodes
// add their own, which the label role excludes for other daemons.
func TestLifecycle(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: nodes, Workloads: lab.WorkloadsBoth})
	witness := cluster.Watch()
	for _, test := range []struct {
		name string
		run  func(*labtest.Cluster)
	}{
		{"nodes join, leave and come back", nodesJoinAndLeave},
		{"a relabelled node loses its pod and gets it back", nodeRelabelled},
		{"a node that is not ready keeps its pod", nodeNotReady},
		{"a deleted pod is replaced", podDeleted},
		{"lower priority makes room, higher does not", preemption},
		{"an excess pod waits, with the reason, and is removed", excessPod},
		{"another owner's pod keeps its name until it is deleted", nameTaken},
		{"a name vanishes with its pod", namesVanish},
		{"a claim outlives its pod", ephemeralVolume},
		{"orphans are adopted without a restart", adoption},
		{"a relabelled pod is released and replaced", release},
		{"a DaemonSet recreated never overlaps with the former", recreated},
		{"deletion in the background deletes the pods", deleteBackground},
		{"deletion in the foreground deletes the pods first", deleteForeground},
		{"deletion with orphaning keeps the pods", deleteOrphan},
		{"availability waits for minReadySeconds", minReadySeconds},
		{"a refusal by the API server is reported", podRefused},
		{"a raised quota admits all pods at once", quotaExhausted},
		{"Pod Security admits pods when the namespace permits them", podSecurity},
		{"a budget that cannot be computed is reported, and corrected", budgetNotComputable},
		{"a deleted namespace deletes its daemon", namespaceDeleted},
		{"a policy that denies one node's pod delays no other", policyOfOneNode},
		{"a selector of the controller's own labels creates nothing", selectorOfOurLabels},
		{"a node that fails each pod soon gets few", endsSoon},
		{"a template that names a node runs only there", templateNamesNode},
		{"an invalid template is reported, and corrected", templateInvalid},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(cluster.With(t)) })
	}
	cluster.Verdict(witness, 30)
	cluster.NothingForbidden()
}

// onRole restricts a daemon to nodes with a role of the test.
func onRole(role string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.NodeSelector = map[string]string{"role": role}
	}
}

// onFirst restricts a daemon to the initial nodes of the lab, which no test changes.
func onFirst(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "role", Operator: corev1.NodeSelectorOpDoesNotExist}},
		}}},
	}}
}

func addNode(c *labtest.Cluster, name, role string) *corev1.Node {
	c.T.Helper()
	node, err := c.AddNode(c.T.Context(), name, func(node *corev1.Node) { node.Labels["role"] = role })
	c.Must(err)
	c.T.Cleanup(func() { _ = c.DeleteNode(context.Background(), name) })
	c.Must(c.WaitForNodes(c.T.Context(), name))
	return node
}

func nodesJoinAndLeave(c *labtest.Cluster) {
	set := labtest.DaemonSet("joining", onRole("join"))
	c.Make(set)
	first := addNode(c, "join-1", "join")
	addNode(c, "join-2", "join")
	before := c.WaitForPods(set, "join-1", "join-2")["join-1"]
	if got := before.Annotations[v1alpha1.NodeUIDAnnotation]; got != string(first.UID) {
		c.T.Errorf("the pod was created for node incarnation %q, want %q", got, first.UID)
	}

	c.Must(c.DeleteNode(c.T.Context(), "join-2"))
	c.WaitForPods(set, "join-1")

	// The same name again, before the old pods may have been cleaned up: another incarnation gets another pod.
	c.Must(c.DeleteNode(c.T.Context(), "join-1"))
	second := addNode(c, "join-1", "join")
	c.Eventually("the new incarnation has its own pod", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, set)
		if err != nil || len(pods) != 1 {
			return fmt.Sprintf("%d pods", len(pods)), err
		}
		if pods[0].UID == before.UID || pods[0].Annotations[v1alpha1.NodeUIDAnnotation] != string(second.UID) || !lab.PodReady(&pods[0]) {
			return "not yet", nil
		}
		return "", nil
	})
}

func nodeRelabelled(c *labtest.Cluster) {
	set := labtest.DaemonSet("relabelled", onRole("label"))
	c.Make(set)
	addNode(c, "label-1", "label")
	c.WaitForPods(set, "label-1")
	c.Must(c.LabelNode(c.T.Context(), "label-1", "role", "other"))
	c.WaitForPods(set)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 0 && status.NumberMisscheduled == 0
	})
	c.WaitForEvent(set, "SuccessfulDelete", "does not match the template's nodeSelector")
	c.Must(c.LabelNode(c.T.Context(), "label-1", "role", "label"))
	c.WaitForPods(set, "label-1")
}

func nodeNotReady(c *labtest.Cluster) {
	set := labtest.DaemonSet("notready", onRole("notready"))
	c.Make(set)
	addNode(c, "notready-1", "notready")
	pod := c.WaitForPods(set, "notready-1")["notready-1"]
	c.Must(c.SetNotReady(c.T.Context(), "notready-1", true))
	c.Eventually("the node is tainted", func(ctx context.Context) (string, error) {
		node, err := c.Lab.Client.CoreV1().Nodes().Get(ctx, "notready-1", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for _, taint := range node.Spec.Taints {
			if taint.Key == corev1.TaintNodeNotReady && taint.Effect == corev1.TaintEffectNoExecute {
				return "", nil
			}
		}
		return fmt.Sprintf("it has %v", node.Spec.Taints), nil
	})
	// As in apps/v1: the daemon tolerates not-ready:NoExecute, so its pod stays, but not the
	// NoSchedule taint beside it, so none would start.
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 0 && status.NumberMisscheduled == 1
	})
	if still := c.WaitForPods(set, "notready-1")["notready-1"]; still.UID != pod.UID {
		c.T.Errorf("pod %s was replaced by %s, want it to stay", pod.UID, still.UID)
	}
	c.Must(c.SetNotReady(c.T.Context(), "notready-1", false))
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 1 && status.NumberMisscheduled == 0
	})
	if still := c.WaitForPods(set, "notready-1")["notready-1"]; still.UID != pod.UID {
		c.T.Errorf("pod %s was replaced by %s, want it to stay", pod.UID, still.UID)
	}
}

func podDeleted(c *labtest.Cluster) {
	set := labtest.DaemonSet("deleted", onFirst)
	c.Make(set)
	pod := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(1)]
	c.Must(c.Delete(c.T.Context(), &pod))
	waitUntilGone(c, &pod)
	if again := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(1)]; again.Name == pod.Name {
		c.T.Errorf("the successor of pod %s has the same name", pod.Name)
	}
}

func preemption(c *labtest.Cluster) {
	for name, value := range map[string]int32{"below": 10, "middle": 100, "above": 1000} {
		c.Make(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value})
	}
	filled := map[string]string{"full-below": "below", "full-above": "above"}
	for node, class := range filled {
		addNode(c, node, "full")
		c.Make(filler(node, class))
	}
	set := labtest.DaemonSet("preempting", onRole("full"), func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.PriorityClassName = "middle"
		set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	})
	c.Make(set)
	c.Eventually("one pod preempts, the other waits and has the reason", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, set)
		if err != nil || len(pods) != 2 {
			return fmt.Sprintf("%d pods", len(pods)), err
		}
		for _, pod := range pods {
			target, _ := daemon.Target(&pod)
			if target == "full-below" && !lab.PodReady(&pod) {
				return "the pod of full-below does not run", nil
			}
			if target == "full-above" && !waitsFor(&pod, "insufficient cpu") {
				return fmt.Sprintf("the pod of full-above has conditions %v", pod.Status.Conditions), nil
			}
		}
		return "", nil
	})
	var victim corev1.Pod
	if err := c.Get(c.T.Context(), client.ObjectKeyFromObject(filler("full-below", "")), &victim); !apierrors.IsNotFound(err) {
		c.T.Errorf("the lower-priority pod still exists (%v), want it preempted", err)
	}
}

// filler returns a pod that takes a whole node, without kube-scheduler.
func filler(node, class string) *corev1.Pod {
	no := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: "filler-" + node},
		Spec: corev1.PodSpec{
			NodeName: node, PriorityClassName: class, TerminationGracePeriodSeconds: &no,
			Containers: []corev1.Container{{
				Name: "main", Image: "example.com/filler",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}},
			}},
		},
	}
}

// waitsFor reports whether a pod is Pending with a message that contains text.
func waitsFor(pod *corev1.Pod, text string) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return strings.Contains(condition.Message, text)
		}
	}
	return false
}

func excessPod(c *labtest.Cluster) {
	set := labtest.DaemonSet("excess", onFirst)
	c.Make(set)
	first := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(2)]
	c.Must(c.Component(lab.Controller).Stop(c.T.Context()))
	twin := twinOf(c, set, &first, "excess-by-hand")
	c.Make(twin)
	c.Eventually("the second pod waits and has the reason", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(twin), twin); err != nil {
			return "", err
		}
		if waitsFor(twin, "already has pod "+first.Name) {
			return "", nil
		}
		return fmt.Sprintf("its conditions are %v", twin.Status.Conditions), nil
	})
	c.Must(c.Component(lab.Controller).Restart(c.T.Context()))
	after := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(2)]
	if after.UID != first.UID {
		c.T.Errorf("pod %s is bound, want the first one, %s", after.Name, first.Name)
	}
	c.WaitForEvent(set, "SuccessfulDelete", "has pod "+first.Name+" already")
}

// twinOf returns another pod of a daemon for the node of a pod.
func twinOf(c *labtest.Cluster, set *v1alpha1.DaemonSet, pod *corev1.Pod, name string) *corev1.Pod {
	c.T.Helper()
	twin := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: name, Labels: pod.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, v1alpha1.DaemonSetKind)},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	twin.Spec.SchedulerName = v1alpha1.SchedulerName
	daemon.Pin(&twin.Spec, pod.Spec.NodeName)
	return twin
}

func adoption(c *labtest.Cluster) {
	set := labtest.DaemonSet("adopting", onFirst)
	c.Make(set)
	before := c.WaitForPods(set, labtest.NodeNames(nodes)...)
	c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	waitUntilGone(c, set)
	again := labtest.DaemonSet("adopting", onFirst)
	c.Make(again)
	for node, pod := range c.WaitForPods(again, labtest.NodeNames(nodes)...) {
		if pod.UID != before[node].UID {
			c.T.Errorf("the pod on %s was replaced, want it adopted", node)
		}
	}
	c.WaitForEvent(again, "PodClaimed", "adopted")
}

func release(c *labtest.Cluster) {
	set := labtest.DaemonSet("releasing", onFirst)
	c.Make(set)
	pod := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(1)]
	changed := pod.DeepCopy()
	changed.Labels["app"] = "for-debugging"
	c.Must(c.Patch(c.T.Context(), changed, client.MergeFrom(&pod)))
	c.WaitForEvent(set, "PodClaimed", "released")
	c.Eventually("the node has another pod", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, set)
		if err != nil || len(pods) != nodes {
			return fmt.Sprintf("%d pods", len(pods)), err
		}
		return "", nil
	})
	if again := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(1)]; again.UID == pod.UID {
		c.T.Error("the daemon still owns the pod")
	}
	var released corev1.Pod
	c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(&pod), &released))
	if released.UID != pod.UID || released.DeletionTimestamp != nil || len(released.OwnerReferences) > 0 {
		c.T.Errorf("the released pod is %+v, want it to keep running without an owner", released.ObjectMeta)
	}
	c.Must(c.Delete(c.T.Context(), &released))
}

// A DaemonSet that is deleted and recreated under its name never has two pods on a node: the pods of
// the former one are deleted first (k/k#131684).
func recreated(c *labtest.Cluster) {
	grace := int64(1)
	slow := func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.TerminationGracePeriodSeconds = &grace }
	set := labtest.DaemonSet("recreated", onFirst, slow)
	c.Make(set)
	c.WaitForPods(set, labtest.NodeNames(nodes)...)
	watching, err := c.API.CoreV1().Pods(set.Namespace).Watch(c.T.Context(), metav1.ListOptions{LabelSelector: "app=" + set.Name})
	c.Must(err)
	defer watching.Stop()
	c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	again := labtest.DaemonSet("recreated", onFirst, slow)
	c.Make(again)
	former, successors := map[string]string{}, 0 // the former daemon's pods that exist, by node
	for successors < nodes {
		event, more := <-watching.ResultChan()
		pod, ok := event.Object.(*corev1.Pod)
		if !more || !ok {
			c.T.Fatalf("the watch ended after %d pods of the new DaemonSet", successors)
		}
		node, _ := daemon.Target(pod)
		switch {
		case event.Type == watch.Deleted:
			delete(former, node)
		case metav1.IsControlledBy(pod, set):
			former[node] = pod.Name
		case event.Type == watch.Added:
			if successors++; former[node] != "" {
				c.T.Errorf("pod %s was created while %s of the former DaemonSet is on %s", pod.Name, former[node], node)
			}
		}
	}
	c.WaitForPods(again, labtest.NodeNames(nodes)...)
}

func waitUntilGone(c *labtest.Cluster, object client.Object) {
	c.T.Helper()
	c.Eventually(object.GetName()+" is gone", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return "it still exists", err
		}
		return "", nil
	})
}

func deleteBackground(c *labtest.Cluster) {
	deleteAndExpectNoPods(c, "background", metav1.DeletePropagationBackground)
}

func deleteForeground(c *labtest.Cluster) {
	deleteAndExpectNoPods(c, "foreground", metav1.DeletePropagationForeground)
}

func deleteAndExpectNoPods(c *labtest.Cluster, name string, policy metav1.DeletionPropagation) {
	set := labtest.DaemonSet(name, onFirst)
	c.Make(set)
	c.WaitForPods(set, labtest.NodeNames(nodes)...)
	c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(policy)))
	c.WaitForPods(set)
	waitUntilGone(c, set)
}

func deleteOrphan(c *labtest.Cluster) {
	set := labtest.DaemonSet("orphaning", onFirst)
	c.Make(set)
	before := c.WaitForPods(set, labtest.NodeNames(nodes)...)
	c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	waitUntilGone(c, set)
	for node, pod := range before {
		var orphan corev1.Pod
		c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(&pod), &orphan))
		if orphan.UID != pod.UID || orphan.DeletionTimestamp != nil || len(orphan.OwnerReferences) > 0 {
			c.T.Errorf("the pod on %s is not the orphan: %+v", node, orphan.ObjectMeta)
		}
		c.Must(c.Delete(c.T.Context(), &orphan))
	}
}

func minReadySeconds(c *labtest.Cluster) {
	const seconds = 4
	set := labtest.DaemonSet("patient", onFirst, func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = seconds })
	c.Make(set)
	pods := c.WaitForPods(set, labtest.NodeNames(nodes)...)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool { return status.NumberReady == nodes })
	if set.Status.NumberAvailable == nodes {
		c.T.Error("every pod is available as soon as it is ready, want it available after minReadySeconds")
	}
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool { return status.NumberAvailable == nodes })
	for _, pod := range pods {
		for _, condition := range pod.Status.Conditions {
			if ready := time.Since(condition.LastTransitionTime.Time); condition.Type == corev1.PodReady && ready < seconds*time.Second {
				c.T.Errorf("pod %s counts as available %s after it became ready, want at least %d s", pod.Name, ready, seconds)
			}
		}
	}
}

func podRefused(c *labtest.Cluster) {
	set := labtest.DaemonSet("refused", onFirst, func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.PriorityClassName = "no-such-class"
	})
	c.Make(set)
	c.WaitForEvent(set, "FailedCreate", "no-such-class")
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		degraded := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
		return degraded != nil && degraded.Status == metav1.ConditionTrue && strings.Contains(degraded.Message, "no-such-class") &&
			meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled)
	})
	// Once the cause is gone, the DaemonSet recovers by itself.
	c.Make(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "no-such-class"}, Value: 5})
	c.WaitForPods(set, labtest.NodeNames(nodes)...)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionDegraded) &&
			meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionAvailable)
	})
}
