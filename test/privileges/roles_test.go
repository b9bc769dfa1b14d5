package privileges

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// TestHostileRoles is what hostile users and nodes can do to a daemon that they do not own (docs/security.md).
func TestHostileRoles(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: 2})
	witness := c.Watch(labtest.Everynode)
	victim := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("victim"))
	c.WaitForPods(victim, labtest.NodeNames(2)...)
	for name, check := range map[string]func(*labtest.Cluster, *labtest.Workload){
		"a kubelet": kubelet, "a kubelet that fails its pods": failingKubelet,
		"who may create pods": podCreator, "who may create pods elsewhere": podCreatorElsewhere,
		"who may create DaemonSets": daemonSetCreator,
	} {
		t.Run(name, func(t *testing.T) { check(c.With(t), victim) })
	}
	c.WaitForPods(victim, labtest.NodeNames(2)...)
	c.Verdict(witness, 4)
	c.NothingForbidden()
}

// kubelet tries with the credentials of one node what concerns daemons elsewhere.
func kubelet(c *labtest.Cluster, victim *labtest.Workload) {
	name := lab.NodeName(0)
	as := impersonating(c, "system:node:"+name, "system:nodes")
	ctx := c.T.Context()
	elsewhere := podOn(c, victim, lab.NodeName(1))
	forbidden(c, "deleting a pod of another node", as.Delete(ctx, elsewhere.DeepCopy(), client.DryRunAll))
	failed := elsewhere.DeepCopy()
	failed.Status.Phase = corev1.PodFailed
	forbidden(c, "failing a pod of another node", as.Status().Update(ctx, failed, client.DryRunAll))
	forged := forgery(victim, theirs, "forged-by-kubelet", name)
	forbidden(c, "creating a daemon's pod", as.Create(ctx, forged, client.DryRunAll))
	mirror := forged.DeepCopy()
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	mirror.Spec.NodeName, mirror.Spec.Affinity = name, nil
	forbidden(c, "creating a mirror pod that a DaemonSet owns", as.Create(ctx, mirror, client.DryRunAll))
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: name}}
	forbidden(c, "binding a pod", as.SubResource("binding").Create(ctx, elsewhere.DeepCopy(), binding, client.DryRunAll))
	forbidden(c, "changing a DaemonSet", as.Patch(ctx, victim.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"minReadySeconds":1}}`)), client.DryRunAll))
	forbidden(c, "reading the webhook's Secret", as.Get(ctx, client.ObjectKey{Namespace: own, Name: "everynode-webhook-tls"}, &corev1.Secret{}))
	forbidden(c, "reading the controller's lease", as.Get(ctx, client.ObjectKey{Namespace: own, Name: lab.Controller}, &coordinationv1.Lease{}))
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	label := func(key string) error {
		return as.Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(fmt.Sprintf(`{"metadata":{"labels":{%q:"x"}}}`, key))), client.DryRunAll)
	}
	forbidden(c, "setting a restricted label", label("node-restriction.kubernetes.io/secrets"))
	if err := label("example.com/own"); err != nil {
		c.T.Errorf("setting its own label: %v: docs/security.md says that it can", err)
	}
}

// failingKubelet fails every pod of a daemon on its node: replacements are backed off, and the other node's pod stays.
func failingKubelet(c *labtest.Cluster, victim *labtest.Workload) {
	name := lab.NodeName(0)
	as := impersonating(c, "system:node:"+name, "system:nodes")
	other := podOn(c, victim, lab.NodeName(1))
	failed := map[types.UID]bool{}
	begun := time.Now()
	c.Eventually("five pods have failed", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, victim)
		for i := range pods {
			if pod := &pods[i]; pod.Spec.NodeName == name && pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil {
				pod.Status.Phase = corev1.PodFailed
				if as.Status().Update(ctx, pod) == nil { // else it has changed: the next look sees it
					failed[pod.UID] = true
				}
			}
		}
		if len(failed) < 5 {
			return fmt.Sprintf("%d have", len(failed)), err
		}
		return "", err
	})
	// The first replacement is immediate, the next ones wait for 1 s, doubling.
	took := time.Since(begun)
	if most := 3 + math.Log2(took.Seconds()+1); float64(len(failed)) > most {
		c.T.Errorf("%d pods in %s, want %.0f at most", len(failed), took, most)
	}
	c.T.Logf("%d pods failed in %s", len(failed), took.Round(time.Millisecond))
	if now := podOn(c, victim, lab.NodeName(1)); now.UID != other.UID {
		c.T.Errorf("the pod of the other node was replaced")
	}
	c.WaitForPods(victim, labtest.NodeNames(2)...)
}

// podCreator may create pods in the daemon's namespace: a pod with a forged owner is a twin, which is not bound beside the daemon's pod
// and is deleted; pods with other claims on the scheduler get nothing.
func podCreator(c *labtest.Cluster, victim *labtest.Workload) {
	as := creatorIn(c, theirs)
	before := podOn(c, victim, lab.NodeName(0))
	forged := forgery(victim, theirs, "forged", lab.NodeName(0))
	c.Must(as.Create(c.T.Context(), forged))
	c.Eventually("one pod of the daemon is left on the node", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, victim)
		if len(pods) != 2 {
			return fmt.Sprintf("it has %d pods on two nodes", len(pods)), err
		}
		return "", err
	})
	if now := podOn(c, victim, lab.NodeName(0)); now.UID != before.UID {
		c.T.Errorf("the daemon's bound pod gave way to the forged one")
	}
	stranger := plainPod("names-the-scheduler", func(pod *corev1.Pod) { pod.Spec.SchedulerName = v1alpha1.SchedulerName })
	c.Make(stranger)
	c.Eventually("the scheduler refuses a pod that is not a daemon's", func(ctx context.Context) (string, error) {
		return unscheduled(ctx, c, stranger, "everynode-scheduler")
	})
	full := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: lab.NodeName(1)}}
	c.Must(c.Patch(c.T.Context(), full, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`))))
	defer func() {
		c.Must(c.Patch(c.T.Context(), full, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"unschedulable":null}}`))))
	}()
	c.Eventually("the node is tainted", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(full), full); err != nil || len(full.Spec.Taints) == 0 {
			return "not yet", err
		}
		return "", nil
	})
	placed := plainPod("opts-in", func(pod *corev1.Pod) {
		pod.Spec.NodeName, pod.Labels = full.Name, map[string]string{v1alpha1.PlacementLabel: v1alpha1.PlacementScheduler}
	})
	c.Make(placed)
	c.Eventually("the scheduler refuses a node that is cordoned for a pod that opted in", func(ctx context.Context) (string, error) {
		return unscheduled(ctx, c, placed, "were unschedulable")
	})
}

// podCreatorElsewhere forges an owner of another namespace.
func podCreatorElsewhere(c *labtest.Cluster, victim *labtest.Workload) {
	c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "mallory"}})
	before := podOn(c, victim, lab.NodeName(0))
	c.Must(creatorIn(c, "mallory").Create(c.T.Context(), forgery(victim, "mallory", "forged", lab.NodeName(0))))
	c.Must(c.Delete(c.T.Context(), before, client.GracePeriodSeconds(0)))
	after := c.WaitForPods(victim, labtest.NodeNames(2)...)
	if pod := after[lab.NodeName(0)]; pod.Namespace != theirs || pod.Name == "forged" {
		c.T.Errorf("the daemon's pod is %s/%s", pod.Namespace, pod.Name)
	}
}

// daemonSetCreator may create DaemonSets in a namespace that forbids privileged pods. Nobody has this right by the chart.
func daemonSetCreator(c *labtest.Cluster, _ *labtest.Workload) {
	const namespace = "restricted"
	c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}})
	grant(c, namespace, "admin-of-namespace", rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"})
	evil := labtest.DaemonSet("privileged", func(set *v1alpha1.DaemonSet) {
		yes := true
		set.Namespace = namespace
		set.Spec.Template.Spec.HostNetwork = true
		set.Spec.Template.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	})
	forbidden(c, "creating a DaemonSet as admin of a namespace", impersonating(c, "admin-of-namespace").Create(c.T.Context(), evil.DeepCopy()))

	as := allowed(c, namespace, "daemon-creator", rbacv1.PolicyRule{APIGroups: []string{everynode}, Resources: []string{"daemonsets"}, Verbs: []string{"create", "get", "update", "delete"}})
	c.Must(as.Create(c.T.Context(), evil))
	c.Eventually("Pod Security refuses the pods", func(ctx context.Context) (string, error) {
		var set v1alpha1.DaemonSet
		if err := c.Get(ctx, client.ObjectKeyFromObject(evil), &set); err != nil {
			return "", err
		}
		condition := meta.FindStatusCondition(set.Status.Conditions, v1alpha1.ConditionDegraded)
		if condition == nil || condition.Status != metav1.ConditionTrue || !strings.Contains(condition.Message, "violates PodSecurity") {
			return fmt.Sprintf("Degraded is %+v", condition), nil
		}
		return "", nil
	})
	pods, err := c.PodsOf(c.T.Context(), evil)
	if err != nil || len(pods) > 0 {
		c.T.Errorf("%d pods, %v: Pod Security was bypassed", len(pods), err)
	}
	moved := evil.DeepCopy()
	moved.ObjectMeta = metav1.ObjectMeta{Namespace: theirs, Name: "privileged"}
	forbidden(c, "creating a DaemonSet in another namespace", as.Create(c.T.Context(), moved))
}

// creatorIn returns a client of a user who may only create, see and delete pods of a namespace.
func creatorIn(c *labtest.Cluster, namespace string) client.Client {
	c.T.Helper()
	return allowed(c, namespace, "pod-creator-"+namespace, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "list", "delete"}})
}

// allowed returns a client of a user with a rule in a namespace.
func allowed(c *labtest.Cluster, namespace, name string, rule rbacv1.PolicyRule) client.Client {
	c.T.Helper()
	c.Make(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: []rbacv1.PolicyRule{rule}})
	grant(c, namespace, name, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name})
	as := impersonating(c, name)
	c.Eventually(name+" has its role", func(ctx context.Context) (string, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: name, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "create", Group: rule.APIGroups[0], Resource: rule.Resources[0],
		}}}
		if err := c.Create(ctx, review); err != nil || !review.Status.Allowed {
			return "not yet", err
		}
		return "", nil
	})
	return as
}

func grant(c *labtest.Cluster, namespace, user string, role rbacv1.RoleRef) {
	c.T.Helper()
	c.Make(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user}, RoleRef: role,
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
}

// forgery is a pod that claims to be a daemon's and to be pinned to a node.
func forgery(victim *labtest.Workload, namespace, name, node string) *corev1.Pod {
	controls := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: victim.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DaemonSet", Name: victim.Name, UID: victim.UID, Controller: &controls}},
		},
		Spec: corev1.PodSpec{SchedulerName: v1alpha1.SchedulerName, Containers: []corev1.Container{{Name: "main", Image: "example.com/forged"}}},
	}
	daemon.Pin(&pod.Spec, node)
	return pod
}

func plainPod(name string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: theirs, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/plain"}}},
	}
	change(pod)
	return pod
}

// podOn returns the pod of a daemon on a node.
func podOn(c *labtest.Cluster, set *labtest.Workload, node string) *corev1.Pod {
	c.T.Helper()
	pods, err := c.PodsOf(c.T.Context(), set)
	c.Must(err)
	for i := range pods {
		if pods[i].Spec.NodeName == node {
			return &pods[i]
		}
	}
	c.T.Fatalf("%s has no pod on %s", set.Name, node)
	return nil
}

// unscheduled returns "" once a pod is not bound, with a text in the condition that explains why.
func unscheduled(ctx context.Context, c *labtest.Cluster, pod *corev1.Pod, text string) (string, error) {
	if err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
		return "", err
	}
	if pod.Spec.NodeName != "" {
		c.T.Fatalf("pod %s is on %s", pod.Name, pod.Spec.NodeName)
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse && strings.Contains(condition.Message, text) {
			return "", nil
		}
	}
	return fmt.Sprintf("its conditions are %+v", pod.Status.Conditions), nil
}
