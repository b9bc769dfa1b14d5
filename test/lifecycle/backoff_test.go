package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// denyOn returns a policy that denies the pods of one DaemonSet for one node.
func denyOn(namespace, daemon, node string) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	fail, name := admissionregistrationv1.Fail, "not-on-"+node+"-"+namespace
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			Validations: []admissionregistrationv1.Validation{{
				Expression: fmt.Sprintf("object.metadata.namespace != '%s' || !object.metadata.name.startsWith('%s-%s-')", namespace, daemon, node),
				Message:    "not on " + node,
			}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
	return policy, binding
}

// A policy denies one node's pod repeatedly: the lost pod of a healthy node is replaced before the denied one is retried.
func policyOfOneNode(c *labtest.Cluster) {
	for _, kind := range bothKinds {
		namespace := makeNamespace(c, "denied", kind, nil)
		policy, binding := denyOn(namespace, "denied", lab.NodeName(0))
		c.Make(policy, binding)
		c.Eventually("the policy denies", func(ctx context.Context) (string, error) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "denied-" + lab.NodeName(0) + "-probe"}}
			pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "example.com/probe"}}
			if err := c.Create(ctx, pod, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "not on") {
				return fmt.Sprintf("the error is %v", err), nil
			}
			return "", nil
		})
		w := c.MakeWorkload(kind, labtest.DaemonSet("denied", onFirst, inNamespace(namespace)))
		others := []string{lab.NodeName(1), lab.NodeName(2)}
		c.WaitForPods(w, others...)
		degraded(c, w, "not on "+lab.NodeName(0), 1)
		time.Sleep(8 * time.Second) // the denied node then has to wait for 4 or 8 s: a daemon that waited with it would be noticed
		pod := c.WaitForPods(w, others...)[lab.NodeName(1)]
		lost := metav1.Now()
		c.Must(c.Delete(c.T.Context(), &pod, client.GracePeriodSeconds(0)))
		again := c.WaitForPods(w, others...)[lab.NodeName(1)]
		if waited := again.CreationTimestamp.Sub(lost.Time); again.UID == pod.UID || waited > 5*time.Second {
			c.T.Errorf("%s: the lost pod is replaced after %s", kind.Group, waited)
		}
	}
}

// A selector that requires a label of the controller, which apps/v1 accepts, and everynode.dev formerly did: nothing is created, and
// the DaemonSet reports what to do.
func selectorOfOurLabels(c *labtest.Cluster) {
	w := c.MakeWorkload(labtest.Apps, labtest.DaemonSet("ours", onFirst, func(set *v1alpha1.DaemonSet) {
		set.Spec.Selector.MatchLabels[appsv1.ControllerRevisionHashLabelKey] = "mine"
		set.Spec.Template.Labels[appsv1.ControllerRevisionHashLabelKey] = "mine"
	}))
	degraded(c, w, appsv1.ControllerRevisionHashLabelKey, nodes)
	c.WaitForEvent(&w.DaemonSet, "SelectorDoesNotMatch", "recreate it")
	var pods corev1.PodList
	c.Must(c.List(c.T.Context(), &pods, client.InNamespace(w.Namespace), client.MatchingLabels{"app": w.Name}))
	var records appsv1.ControllerRevisionList
	c.Must(c.List(c.T.Context(), &records, client.InNamespace(w.Namespace), client.MatchingLabels{"app": w.Name}))
	c.Must(c.ReadWorkload(c.T.Context(), w))
	if len(pods.Items) > 0 || len(records.Items) > 0 || w.Status.CollisionCount != nil {
		c.T.Errorf("%d pods, %d ControllerRevisions, collisionCount %v; want none", len(pods.Items), len(records.Items), w.Status.CollisionCount)
	}
}

// A node fails each pod as soon as it is ready, as a node does that shuts down: few pods are created, at growing intervals.
func endsSoon(c *labtest.Cluster) {
	const span = 20 * time.Second
	for _, kind := range bothKinds {
		w := c.MakeWorkload(kind, labtest.DaemonSet("ends", onFirst))
		c.WaitForPods(w, labtest.NodeNames(nodes)...)
		ended := map[types.UID]bool{}
		for begun := time.Now(); time.Since(begun) < span; time.Sleep(200 * time.Millisecond) {
			pods, err := c.PodsOf(c.T.Context(), w)
			c.Must(err)
			for i := range pods {
				if pod := &pods[i]; pod.Spec.NodeName == lab.NodeName(0) && lab.PodReady(pod) && !ended[pod.UID] {
					pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Terminated"
					if err := c.Client.Status().Update(c.T.Context(), pod); client.IgnoreNotFound(err) == nil {
						ended[pod.UID] = true
					}
				}
			}
		}
		// Immediately, and after 1, 2, 4 and 8 s.
		if len(ended) < 2 || len(ended) > 6 {
			c.T.Errorf("%s: %d pods failed in %s, want at most 6", kind.Group, len(ended), span)
		}
	}
}
