package placement

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// The stored pod decides where it can run, not only the template.
func TestPlacementOfOthers(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: 4, Workloads: lab.WorkloadsBoth})
	witness := cluster.Watch(labtest.Everynode, labtest.Apps)
	for name, check := range map[string]func(*labtest.Cluster){
		"runtime class": runtimeClass, "native runtime class": nativeRuntimeClass,
		"node selector": nodeSelector, "native node selector": nativeNodeSelector,
		"surge that does not fit": surgeThatDoesNotFit,
	} {
		t.Run(name, func(t *testing.T) { check(cluster.With(t)) })
	}
	cluster.Verdict(witness, 8)
	cluster.NothingForbidden()
}

// patchNode changes a node until the test ends.
func patchNode(c *labtest.Cluster, name, patch, back string) {
	c.T.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Must(c.Patch(c.T.Context(), node.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))))
	c.T.Cleanup(func() {
		_ = c.Patch(context.Background(), node.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(back)))
	})
}

func label(c *labtest.Cluster, name, key, value string) {
	patchNode(c, name, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, key, value), fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, key))
}

// reports returns whether a condition has a status, a reason, and a text in its message.
func reports(status *v1alpha1.DaemonSetStatus, kind string, is metav1.ConditionStatus, reason, text string) bool {
	condition := meta.FindStatusCondition(status.Conditions, kind)
	return condition != nil && condition.Status == is && condition.Reason == reason && strings.Contains(condition.Message, text)
}

// boundAndWaiting returns the pods of a workload by node, once it has these numbers of ready and waiting pods.
func boundAndWaiting(c *labtest.Cluster, w *labtest.Workload, bound, waiting int) (running, waits map[string]corev1.Pod) {
	c.T.Helper()
	c.Eventually(fmt.Sprintf("%s has %d pods that are ready and %d that wait", w.Name, bound, waiting), func(ctx context.Context) (string, error) {
		running, waits = map[string]corev1.Pod{}, map[string]corev1.Pod{}
		pods, err := c.PodsOf(ctx, w)
		for _, pod := range pods {
			switch {
			case pod.Spec.NodeName == "":
				waits[pod.Name] = pod
			case pod.Status.Phase == corev1.PodRunning:
				running[pod.Spec.NodeName] = pod
			}
		}
		if len(running) != bound || len(waits) != waiting {
			return fmt.Sprintf("%d and %d", len(running), len(waits)), err
		}
		return "", err
	})
	return running, waits
}

func uids(pods map[string]corev1.Pod) []types.UID {
	var uids []types.UID
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		uids = append(uids, pods[name].UID)
	}
	return uids
}

func sandboxed(c *labtest.Cluster, nodes ...string) *nodev1.RuntimeClass {
	for _, node := range nodes {
		label(c, node, "sandbox", "yes")
	}
	patchNode(c, nodes[0], `{"spec":{"taints":[{"key":"sandbox","value":"yes","effect":"NoSchedule"}]}}`, `{"spec":{"taints":null}}`)
	class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "sandboxed"}, Handler: "runc", Scheduling: &nodev1.Scheduling{
		NodeSelector: map[string]string{"sandbox": "yes"},
		Tolerations:  []corev1.Toleration{{Key: "sandbox", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
	}}
	c.Make(class)
	return class
}

func ofClass(set *v1alpha1.DaemonSet) {
	name := "sandboxed"
	set.Spec.Template.Spec.RuntimeClassName = &name
}

// A RuntimeClass decides which nodes get a pod, and never ends a running pod, however it changes.
func runtimeClass(c *labtest.Cluster) {
	names := labtest.NodeNames(4)
	class := sandboxed(c, names[0])
	w := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("sandbox", ofClass))
	before := c.WaitForPods(w, names[0])
	c.WaitForWorkload(w, "one node is eligible", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 1 && status.NumberReady == 1 && reports(status, "Progressing", metav1.ConditionFalse, "Complete", "1 of 1")
	})

	wider := class.DeepCopy()
	wider.Scheduling.NodeSelector = nil
	c.Must(c.Update(c.T.Context(), wider))
	all := c.WaitForPods(w, names...)
	if all[names[0]].UID != before[names[0]].UID {
		c.T.Error("the pod of the node that the class had selected was replaced")
	}
	narrow := wider.DeepCopy()
	narrow.Scheduling.NodeSelector = map[string]string{"sandbox": "no"}
	c.Must(c.Update(c.T.Context(), narrow))
	c.WaitForWorkload(w, "no node is eligible, and all pods stay", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 0 && status.NumberMisscheduled == 4
	})
	c.Must(c.Delete(c.T.Context(), narrow))
	c.WaitForWorkload(w, "without the class only the template decides", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 3 && status.NumberMisscheduled == 1
	})
	if running, _ := boundAndWaiting(c, w, 4, 0); !slices.Equal(uids(running), uids(all)) {
		c.T.Error("pods were replaced when the class changed")
	}
}

// In apps/v1 the class has no effect: every node that the template permits counts, and pods wait.
func nativeRuntimeClass(c *labtest.Cluster) {
	sandboxed(c, labtest.NodeNames(2)...)
	w := c.MakeWorkload(labtest.Apps, labtest.DaemonSet("native-sandbox", ofClass))
	boundAndWaiting(c, w, 1, 2)
	c.WaitForWorkload(w, "the numbers are those of apps/v1", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.DesiredNumberScheduled == 3 && status.CurrentNumberScheduled == 3 && status.NumberReady == 1 && status.NumberUnavailable == 2 &&
			reports(status, "Degraded", metav1.ConditionFalse, "AsExpected", "")
	})
}

// tenantsOnly makes admission add a node selector to the pods of a namespace, until the policy is deleted.
func tenantsOnly(c *labtest.Cluster, namespace string) (binding *unstructured.Unstructured) {
	c.T.Helper()
	c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	c.Eventually("pods can be created in "+namespace, func(ctx context.Context) (string, error) {
		return "", c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
	object := func(kind string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": namespace}, "spec": spec,
		}}
	}
	binding = object("MutatingAdmissionPolicyBinding", map[string]any{"policyName": namespace})
	c.Make(object("MutatingAdmissionPolicy", map[string]any{
		"failurePolicy": "Fail", "reinvocationPolicy": "Never",
		"matchConstraints": map[string]any{
			"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": namespace}},
			"resourceRules":     []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}}},
		},
		"mutations": []any{map[string]any{"patchType": "JSONPatch", "jsonPatch": map[string]any{
			"expression": `[JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"tenant": "blue"}}]`,
		}}},
	}), binding)
	c.Eventually("the policy is in force", func(ctx context.Context) (string, error) {
		probe := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/probe"}}},
		}
		if err := c.Create(ctx, probe, client.DryRunAll); err != nil || probe.Spec.NodeSelector["tenant"] != "blue" {
			return "not yet", err
		}
		return "", nil
	})
	return binding
}

// Nodes that admission excludes are blocked: the reason is reported, the rollout continues, and they cost an occasional dry run.
func nodeSelector(c *labtest.Cluster) {
	names := labtest.NodeNames(4)
	label(c, names[0], "tenant", "blue")
	label(c, names[1], "tenant", "blue")
	binding := tenantsOnly(c, "blue")
	w := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("tenant", func(set *v1alpha1.DaemonSet) { set.Namespace = "blue" }))
	_, waits := boundAndWaiting(c, w, 2, 2)
	excluded := func(status *v1alpha1.DaemonSetStatus) bool {
		return reports(status, "Degraded", metav1.ConditionTrue, "PlacementExcludesNode", "nodeSelector tenant=blue") &&
			reports(status, "Degraded", metav1.ConditionTrue, "PlacementExcludesNode", "(2 nodes: "+names[2]+", "+names[3]+")") &&
			reports(status, "Available", metav1.ConditionTrue, "AllNodesAvailable", "2 are blocked") &&
			reports(status, "Progressing", metav1.ConditionFalse, "Complete", "2 are blocked")
	}
	c.WaitForWorkload(w, "two nodes are blocked", excluded)

	// maxUnavailable is 1, and the two good nodes get the new revision.
	c.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = "example.com/tenant:v2" })
	c.WaitForWorkload(w, "two nodes are updated", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.UpdatedNumberScheduled == 2 && status.NumberAvailable == 2 && status.DesiredNumberScheduled == 4 && excluded(status)
	})
	if _, still := boundAndWaiting(c, w, 2, 2); !slices.Equal(uids(still), uids(waits)) {
		c.T.Error("waiting pods of blocked nodes were replaced")
	}

	// When the policy is deleted, a dry run detects it, and the nodes get their pods.
	c.Must(c.Delete(c.T.Context(), binding))
	c.WaitForPods(w, names...)
	c.WaitForWorkload(w, "nothing is blocked", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.NumberAvailable == 4 && status.UpdatedNumberScheduled == 4 && reports(status, "Degraded", metav1.ConditionFalse, "AsExpected", "")
	})
}

// Native DaemonSets behave as in apps/v1: pods wait, count as unavailable, and hold up the rollout.
func nativeNodeSelector(c *labtest.Cluster) {
	names := labtest.NodeNames(4)
	label(c, names[0], "tenant", "blue")
	label(c, names[1], "tenant", "blue")
	tenantsOnly(c, "native-blue")
	w := c.MakeWorkload(labtest.Apps, labtest.DaemonSet("tenant", func(set *v1alpha1.DaemonSet) { set.Namespace = "native-blue" }))
	running, _ := boundAndWaiting(c, w, 2, 2)
	c.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = "example.com/tenant:v2" })
	c.WaitForWorkload(w, "only the waiting pods are replaced", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.UpdatedNumberScheduled == 2 && status.DesiredNumberScheduled == 4 && status.CurrentNumberScheduled == 4 && status.NumberAvailable == 2 && status.NumberUnavailable == 2
	})
	if still, _ := boundAndWaiting(c, w, 2, 2); !slices.Equal(uids(still), uids(running)) {
		c.T.Error("a running pod was replaced although two nodes have none")
	}
}

// A surge pod without room is reported by the DaemonSet, with the scheduler's reason.
func surgeThatDoesNotFit(c *labtest.Cluster) {
	w := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("large", func(set *v1alpha1.DaemonSet) {
		zero, one := intstr.FromInt32(0), intstr.FromInt32(1)
		set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{Type: "RollingUpdate", RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxSurge: &one, MaxUnavailable: &zero}}
		set.Spec.Template.Spec.PriorityClassName = "system-node-critical"
		set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2500m")}
	}))
	c.WaitForPods(w, labtest.NodeNames(4)...)
	c.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = "example.com/large:v2" })
	c.WaitForWorkload(w, "the DaemonSet reports what its pod waits for", func(status *v1alpha1.DaemonSetStatus) bool {
		return reports(status, "Progressing", metav1.ConditionTrue, "RollingOut", "insufficient cpu") &&
			reports(status, "Degraded", metav1.ConditionFalse, "PodsPending", "insufficient cpu") && status.NumberAvailable == 4
	})
}
