package lifecycle

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// bothKinds are the kinds for which a problem of the template has the same effect.
var bothKinds = []schema.GroupVersionKind{labtest.Everynode, labtest.Apps}

// makeNamespace creates a namespace for a test and a kind.
func makeNamespace(c *labtest.Cluster, name string, kind schema.GroupVersionKind, labels map[string]string) string {
	c.T.Helper()
	name += "-" + strings.Trim(strings.Split(kind.Group, ".")[0], "-")
	c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	c.Eventually("pods can be created in "+name, func(ctx context.Context) (string, error) {
		return "", c.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
	})
	return name
}

func inNamespace(name string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Namespace = name }
}

// degraded waits until the condition Degraded has a reason on a number of nodes, or is False.
func degraded(c *labtest.Cluster, w *labtest.Workload, text string, nodes int) {
	c.T.Helper()
	c.WaitForWorkload(w, fmt.Sprintf("%d nodes are degraded by %q", nodes, text), func(status *v1alpha1.DaemonSetStatus) bool {
		condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
		if condition == nil || nodes == 0 {
			return condition != nil && condition.Status == metav1.ConditionFalse
		}
		return condition.Status == metav1.ConditionTrue && strings.Contains(condition.Message, text) &&
			int(status.DesiredNumberScheduled-status.CurrentNumberScheduled) == nodes
	})
}

// An exhausted quota is raised: the pods are created at once, not after the back-off.
func quotaExhausted(c *labtest.Cluster) {
	for _, kind := range bothKinds {
		namespace := makeNamespace(c, "quota", kind, nil)
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
		}
		c.Make(quota)
		c.Eventually("the quota has its status", func(ctx context.Context) (string, error) {
			if err := c.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil || len(quota.Status.Hard) == 0 {
				return "not yet", err
			}
			return "", nil
		})
		w := c.MakeWorkload(kind, labtest.DaemonSet("counted", onFirst, inNamespace(namespace)))
		degraded(c, w, "exceeded quota", nodes-1)
		c.WaitForEvent(&w.DaemonSet, "FailedCreate", "exceeded quota")
		raised := quota.DeepCopy()
		raised.Spec.Hard[corev1.ResourcePods] = resource.MustParse("10")
		c.Must(c.Patch(c.T.Context(), raised, client.MergeFrom(quota)))
		c.WaitForPods(w, labtest.NodeNames(nodes)...)
		degraded(c, w, "", 0)
	}
}

// Pod Security refuses pods until the namespace's labels permit them.
func podSecurity(c *labtest.Cluster) {
	for _, kind := range bothKinds {
		namespace := makeNamespace(c, "restricted", kind, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
		w := c.MakeWorkload(kind, labtest.DaemonSet("privileged", onFirst, inNamespace(namespace), func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.HostNetwork = true
		}))
		degraded(c, w, "violates PodSecurity", nodes)
		c.WaitForEvent(&w.DaemonSet, "FailedCreate", "host namespaces")
		labels := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
		c.Must(c.Patch(c.T.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, client.RawPatch("application/merge-patch+json", labels)))
		c.WaitForPods(w, labtest.NodeNames(nodes)...)
		degraded(c, w, "", 0)
	}
}

// The daemon of a namespace that is being deleted is deleted with it. While another pod there
// does not terminate, the daemon reports why it has no pods.
func namespaceDeleted(c *labtest.Cluster) {
	for _, kind := range bothKinds {
		namespace := makeNamespace(c, "leaving", kind, nil)
		w := c.MakeWorkload(kind, labtest.DaemonSet("leaving", onFirst, inNamespace(namespace)))
		c.WaitForPods(w, labtest.NodeNames(nodes)...)
		stays := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stays", Finalizers: []string{"example.com/stays"}},
			Spec: corev1.PodSpec{
				Containers:      []corev1.Container{{Name: "main", Image: "example.com/stays"}},
				SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/stays"}},
			},
		}
		c.Must(c.Create(c.T.Context(), stays))
		c.Must(c.Delete(c.T.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
		degraded(c, w, "unable to create new content", nodes)
		told := &v1alpha1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: namespace}} // about the namespace, in the namespace of such events
		c.WaitForEvent(told, "NamespaceTerminating", namespace)
		c.Must(c.Patch(c.T.Context(), stays, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
		c.Eventually("namespace "+namespace+" is gone", func(ctx context.Context) (string, error) {
			err := c.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
			if apierrors.IsNotFound(err) {
				return "", nil
			}
			return "it still exists", err
		})
	}
}

// A template that names a node runs only there, and is scheduled like any other (S2).
func templateNamesNode(c *labtest.Cluster) {
	for _, kind := range bothKinds {
		w := c.MakeWorkload(kind, labtest.DaemonSet("named-"+strings.Split(kind.Group, ".")[0], func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.NodeName = lab.NodeName(1)
		}))
		c.WaitForPods(w, lab.NodeName(1))
		c.WaitForWorkload(w, "one node is eligible", func(status *v1alpha1.DaemonSetStatus) bool {
			return status.DesiredNumberScheduled == 1 && status.NumberAvailable == 1
		})
	}
}

// An invalid template is reported: by apps/v1's own validation of a native DaemonSet, by the CRD, by the
// webhook or, when that is unreachable, by the API server when the pod is created; and pods of a corrected template are
// created at once.
func templateInvalid(c *labtest.Cluster) {
	toleration := func(operator corev1.TolerationOperator) func(*v1alpha1.DaemonSet) {
		return func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: operator}}
		}
	}
	wrong := labtest.DaemonSet("intolerant", onFirst, toleration("Never"))
	if err := c.Create(c.T.Context(), wrong.DeepCopy()); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "tolerations[0].operator") {
		c.T.Errorf("an invalid toleration: %v", err)
	}
	c.Must(c.Component(lab.Webhook).Stop(c.T.Context()))
	w := c.MakeWorkload(labtest.Everynode, wrong)
	c.Must(c.Component(lab.Webhook).Restart(c.T.Context()))
	degraded(c, w, "tolerations[0].operator", nodes)
	c.WaitForEvent(&w.DaemonSet, "FailedCreate", "tolerations[0].operator")
	c.ChangeWorkload(w, toleration(corev1.TolerationOpExists))
	c.WaitForPods(w, labtest.NodeNames(nodes)...)
	degraded(c, w, "", 0)

	empty := labtest.DaemonSet("everybody", func(set *v1alpha1.DaemonSet) { set.Spec.Selector.MatchLabels = nil })
	if err := c.Create(c.T.Context(), empty); err == nil || !strings.Contains(err.Error(), "empty selector is invalid") {
		c.T.Errorf("a selector that selects everything: %v", err)
	}
	manifest := `{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSet","metadata":{"name":"typo"},"spec":{"selector":{"matchLabels":{"app":"typo"}},
		"template":{"metadata":{"labels":{"app":"typo"}},"spec":{"containers":[{"name":"main","image":"example.com/typo"}],"toleration":[]}}}}`
	if _, _, err := c.Kubectl(c.T.Context(), manifest, "apply", "-f", "-"); err == nil || !strings.Contains(err.Error(), `unknown field "spec.template.spec.toleration"`) {
		c.T.Errorf("an unknown field: %v", err)
	}
}
