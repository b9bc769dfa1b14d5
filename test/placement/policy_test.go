package placement

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// failedPolicy checks the refusal of a pod by a policy that fails.
func failedPolicy(err error) error {
	if err == nil || !strings.Contains(err.Error(), "policy 'everynode-placement") || strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
		return fmt.Errorf("got %w, want a refusal by a failed policy", err)
	}
	return nil
}

// policyList lists objects of MutatingAdmissionPolicy's API, in the version that the lab's API server has.
func policyList(api, kind string) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(api)
	list.SetKind(kind + "List")
	return list
}

// deleteAll deletes all objects of a list's kind, and keeps them in the list.
func deleteAll(c *labtest.Cluster, list *unstructured.UnstructuredList) {
	c.Must(c.List(c.T.Context(), list))
	for i := range list.Items {
		c.Must(c.Delete(c.T.Context(), list.Items[i].DeepCopy()))
	}
}

// createAll recreates the objects of a list.
func createAll(c *labtest.Cluster, list *unstructured.UnstructuredList) {
	for _, item := range list.Items {
		fresh := item.DeepCopy()
		fresh.Object["metadata"] = map[string]any{"name": item.GetName()}
		c.Must(c.Create(c.T.Context(), fresh))
	}
}

// policyFaults disable the policies that place pods.
func policyFaults(api string) map[string]fault {
	policies, bindings := policyList(api, "MutatingAdmissionPolicy"), policyList(api, "MutatingAdmissionPolicyBinding")
	return map[string]fault{
		"policies deleted": {
			inflict: func(c *labtest.Cluster) { deleteAll(c, policies) },
			repair:  func(c *labtest.Cluster) { createAll(c, policies) },
			refusal: interlock,
		},
		"bindings deleted": {
			inflict: func(c *labtest.Cluster) { deleteAll(c, bindings) },
			repair:  func(c *labtest.Cluster) { createAll(c, bindings) },
			refusal: interlock,
		},
		"a policy that fails": {
			inflict: func(c *labtest.Cluster) {
				c.Must(c.List(c.T.Context(), policies))
				for _, policy := range policies.Items {
					changed := policy.DeepCopy()
					c.Must(unstructured.SetNestedSlice(changed.Object, []any{map[string]any{
						"patchType": "JSONPatch",
						"jsonPatch": map[string]any{"expression": `[JSONPatch{op: "add", path: "/no/such/parent", value: "x"}]`},
					}}, "spec", "mutations"))
					c.Must(c.Update(c.T.Context(), changed))
				}
			},
			repair: func(c *labtest.Cluster) {
				for _, policy := range policies.Items {
					found := &unstructured.Unstructured{}
					found.SetGroupVersionKind(policy.GroupVersionKind())
					c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(&policy), found))
					found.Object["spec"] = policy.Object["spec"]
					c.Must(c.Update(c.T.Context(), found))
				}
			},
			refusal: failedPolicy,
		},
	}
}

// Without a webhook the policies place pods, and their failures have the same effects as those of a webhook.
func TestPlacementSurvivesItsPolicy(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: nodes, Placement: lab.PlacementPolicy})
	witness := cluster.Watch()
	if cluster.Component(lab.Webhook).Running() {
		t.Error("everynode-webhook runs although it is not used")
	}
	waitUntilAdmission(cluster, func(err error) error { return err })
	made := 0
	for name, fault := range policyFaults(cluster.PolicyAPI()) {
		t.Run(name, func(t *testing.T) {
			c := cluster.With(t)
			fault.inflict(c)
			waitUntilAdmission(c, fault.refusal)
			others := createOthers(c)
			fault.checkSurvived(c, name, others, v1alpha1.PlacedByPolicy)
		})
		made += 2 * nodes
	}
	t.Run("pods that opt in", func(t *testing.T) { podsThatAsk(cluster.With(t)) })
	t.Run("a kubelet's mirror pod", func(t *testing.T) { mirrorPod(cluster.With(t)) })
	t.Run("pods that opt in without placement", func(t *testing.T) { podsWithoutPlacement(cluster.With(t)) })
	cluster.Verdict(witness, made)
	cluster.NothingForbidden()
}

// barePod returns a pod without an owner that names a node.
func barePod(namespace, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: lab.NodeName(1), Containers: []corev1.Container{{Name: "main", Image: "example.com/bare"}}},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func asking(pod *corev1.Pod) {
	metav1.SetMetaDataLabel(&pod.ObjectMeta, v1alpha1.PlacementLabel, v1alpha1.PlacementScheduler)
}

// pinned requires a node by affinity.
func pinned(node string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}},
		}}
	}
}

// askingNamespace creates a namespace whose pods opt in.
func askingNamespace(c *labtest.Cluster, name string) {
	c.T.Helper()
	c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.PlacementLabel: v1alpha1.PlacementScheduler}}})
	c.Eventually("pods can be created in "+name, func(ctx context.Context) (string, error) {
		return "", c.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
	})
}

// A bare pod that opts in, by its label or its namespace's, is scheduled by the scheduler that it names; one
// that contradicts itself is refused with instructions.
func podsThatAsk(c *labtest.Cluster) {
	askingNamespace(c, "legacy")
	for _, pod := range []*corev1.Pod{barePod(labtest.Namespace, "labelled", asking), barePod("legacy", "by-namespace")} {
		c.Make(pod)
		if pod.Spec.NodeName != "" || pod.Annotations[v1alpha1.PlacedByAnnotation] != v1alpha1.PlacedByPolicy || pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
			c.T.Errorf("pod %s is stored with node %q, scheduler %s, annotations %v; want it placed by the policy, for its own scheduler",
				pod.Name, pod.Spec.NodeName, pod.Spec.SchedulerName, pod.Annotations)
		}
		c.Eventually(pod.Name+" is scheduled to its node", func(ctx context.Context) (string, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod)
			if err == nil && pod.Spec.NodeName != lab.NodeName(1) {
				return fmt.Sprintf("it is on %q", pod.Spec.NodeName), nil
			}
			return "", err
		})
	}
	for _, pod := range []*corev1.Pod{barePod(labtest.Namespace, "contradiction", asking, pinned("elsewhere")), barePod("legacy", "contradiction", pinned("elsewhere"))} {
		err := c.Create(c.T.Context(), pod)
		want := `spec.nodeName is "lab-node-1", but the required node affinity pins the pod to "elsewhere" by matchFields metadata.name: remove one of the two, or make them agree`
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
			c.T.Errorf("pod %s/%s: got %v, want a refusal: %s", pod.Namespace, pod.Name, err, want)
		}
	}
}

// A mirror pod represents a static pod that a kubelet already runs: it keeps its node, even if its namespace opts in.
func mirrorPod(c *labtest.Cluster) {
	askingNamespace(c, "static")
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + lab.NodeName(1), Groups: []string{"system:nodes", "system:authenticated"}}
	kubelet, err := client.New(config, client.Options{Scheme: c.Scheme()})
	c.Must(err)
	node := &corev1.Node{}
	c.Must(c.Get(c.T.Context(), client.ObjectKey{Name: lab.NodeName(1)}, node))
	pod := barePod("static", "mirror", asking, func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: new(true)}}
	})
	c.Must(kubelet.Create(c.T.Context(), pod))
	if pod.Spec.NodeName != lab.NodeName(1) {
		c.T.Errorf("the mirror pod is stored with node %q", pod.Spec.NodeName)
	}
}

// Pods of other clients have no gate, so the interlock does not refuse them: the validating policy does
// while placement is off.
func podsWithoutPlacement(c *labtest.Cluster) {
	fault := policyFaults(c.PolicyAPI())["bindings deleted"]
	fault.inflict(c)
	waitUntilAdmission(c, fault.refusal)
	c.Eventually("a pod that opts in is refused", func(ctx context.Context) (string, error) {
		err := c.Create(ctx, barePod(labtest.Namespace, "unplaced", asking), client.DryRunAll)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "restore the MutatingAdmissionPolicies everynode-placement") {
			return fmt.Sprintf("got %v", err), nil
		}
		return "", nil
	})
	c.Must(c.Create(c.T.Context(), barePod(labtest.Namespace, "unasked"), client.DryRunAll))
	fault.repair(c)
	waitUntilAdmission(c, func(err error) error { return err })
}
