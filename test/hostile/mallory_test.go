package hostile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
	"github.com/everynode/everynode/test/race"
)

const (
	// mallory is a user, and the namespace of which he is admin.
	mallory = "mallory"
	victims = "victim"
	members = 4 // nodes of the lab
)

// Bounds of what a program may use, from the beginning of an attack until the victim's rollout is complete. A rollout alone takes less than a tenth.
var mostCPU = race.Limit(8 * time.Second)

const mostMemory = 512e6

// attack is what mallory does before the victim's DaemonSet is rolled out.
type attack struct {
	do func(c *labtest.Cluster, m client.Client)
	// writes bounds the controller's writes, the victim's rollout and leases included.
	writes float64
}

// attacks are those of an ordinary user. Each cleans up through the test's cleanup.
var attacks = map[string]attack{
	"nothing":                                     {func(*labtest.Cluster, client.Client) {}, 60},
	"quantities that take seconds":                {quantities, 60},
	"a daemon's pod of 40,000 matchFields":        {ownedMatchFields, 80},
	"an orphan of 40,000 matchFields":             {orphanedMatchFields, 80},
	"a pod of 8,000 owners":                       {owners, 80},
	"50 daemons whose pods are refused":           {refusedDaemons, 1500},
	"a name and a place of a former DaemonSet":    {squat, 80},
	"selectors of the controller's label":         {leak, 120},
	"pods deleted as soon as they run":            {deletions, 400},
	"large DaemonSets, many at a time":            {large, 80},
	"managedFields, labels and annotations of MB": {metadataOfMegabytes, 80},
}

// TestMallory runs each attack while a victim's daemon is rolled out: the rollout takes as many creations and deletions as without it, and Everynode's
// programs stay within bounds.
func TestMallory(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: members, Workloads: lab.WorkloadsBoth})
	witness := c.Watch(labtest.Everynode)
	for _, name := range []string{mallory, victims} {
		c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	m := become(c)
	victim := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("v", func(set *v1alpha1.DaemonSet) {
		all := intstr.FromString("100%")
		set.Namespace, set.Spec.UpdateStrategy.RollingUpdate = victims, &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &all}
	}))
	c.WaitForPods(victim, labtest.NodeNames(members)...)
	for i, name := range slices.Sorted(maps.Keys(attacks)) {
		t.Run(name, func(t *testing.T) { under(c.With(t), witness, m, victim, attacks[name], fmt.Sprint(i)) })
	}
	c.Verdict(witness, members)
	c.NothingForbidden()
}

// under rolls the victim out under an attack, and judges what that took.
func under(c *labtest.Cluster, witness *labtest.Witness, m client.Client, victim *labtest.Workload, attack attack, revision string) {
	c.T.Helper()
	before, mark, begun := c.UsageOfAll(), c.Mark(witness), time.Now()
	attack.do(c, m)
	changed := time.Now()
	c.ChangeWorkload(victim, func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Annotations = map[string]string{"example.com/revision": revision}
	})
	c.WaitForWorkload(victim, "the rollout is complete", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.UpdatedNumberScheduled == members && status.NumberAvailable == members
	})
	rollout := time.Since(changed)
	made, ended := 0, 0
	for _, deed := range c.Since(witness, mark) {
		switch {
		case deed.Daemon != victim.UID:
		case deed.Made:
			made++
		default:
			ended++
		}
	}
	if made != members || ended != members {
		c.T.Errorf("the rollout created %d pods and deleted %d, want %d of each", made, ended, members)
	}
	for program, after := range c.UsageOfAll() {
		was := before[program]
		cpu, writes := after.CPU-was.CPU, after.Writes-was.Writes
		c.T.Logf("%s: %s of processor time, %.0f writes, %.0f MB resident (%.0f at most), heap collected at %.0f MB; the rollout took %s of %s",
			program, cpu, writes, after.Resident/1e6, after.Peak/1e6, after.Heap/1e6, rollout.Round(100*time.Millisecond), time.Since(begun).Round(100*time.Millisecond))
		if cpu > mostCPU {
			c.T.Errorf("%s took %s of processor time, want %s at most", program, cpu, mostCPU)
		}
		if after.Peak > mostMemory*float64(race.Limit(1)) {
			c.T.Errorf("%s took %.0f MB, want %.0f at most", program, after.Peak/1e6, mostMemory/1e6)
		}
		if program == lab.Controller && writes > attack.writes+time.Since(begun).Seconds() { // leases are renewed twice a second at most
			c.T.Errorf("%s wrote %.0f times, want %.0f at most", program, writes, attack.writes)
		}
	}
}

// become returns a client of mallory: admin of a namespace, with all rights on DaemonSets of everynode.dev there.
func become(c *labtest.Cluster) client.Client {
	c.T.Helper()
	c.Make(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "nds-user"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"daemonsets"}, Verbs: []string{"*"}}}})
	for _, role := range []string{"admin", "nds-user"} {
		c.Make(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: mallory, Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: mallory}},
		})
	}
	config := *c.Config
	config.Impersonate.UserName, config.Impersonate.Groups = mallory, []string{"system:authenticated"}
	m, err := client.New(&config, client.Options{Scheme: c.Scheme()})
	c.Must(err)
	c.Eventually("mallory has his roles", func(ctx context.Context) (string, error) {
		err := cmp.Or(m.Create(ctx, own("probe"), client.DryRunAll), m.Create(ctx, pod(mallory, "probe"), client.DryRunAll))
		if apierrors.IsForbidden(err) {
			return err.Error(), nil
		}
		return "", err
	})
	return m
}

// own returns a DaemonSet of mallory for no node.
func own(name string, mutators ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	return labtest.DaemonSet(name, append([]func(*v1alpha1.DaemonSet){func(set *v1alpha1.DaemonSet) {
		set.Namespace, set.Spec.Template.Spec.NodeSelector = mallory, map[string]string{"nowhere": "1"}
	}}, mutators...)...)
}

func pod(namespace, name string) *corev1.Pod {
	no := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "x"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "pause"}}, TerminationGracePeriodSeconds: &no},
	}
}

// makeAs creates objects as mallory, and deletes them when the test ends.
func makeAs(c *labtest.Cluster, m client.Client, objects ...client.Object) {
	c.T.Helper()
	for _, object := range objects {
		c.Must(m.Create(c.T.Context(), object))
		c.T.Cleanup(func() {
			_ = c.Delete(context.Background(), object, client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground))
		})
	}
}

// refused fails the test unless the API server refuses an object as invalid or denied.
func refused(c *labtest.Cluster, what string, err error) {
	c.T.Helper()
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
		c.T.Errorf("%s: answered %v, want a refusal", what, err)
	}
}

// quantities writes numbers that take long to compute with, into every place for one.
func quantities(c *labtest.Cluster, m client.Client) {
	for i, quantity := range []string{"1e-40000000", "1e30000000", "1e99999999999999999999", strings.Repeat("9", 100_000)} {
		for j, patch := range []string{
			fmt.Sprintf(`{"containers":[{"name":"main","image":"x","resources":{"limits":{"cpu":%q}}}]}`, quantity),
			fmt.Sprintf(`{"overhead":{"cpu":%q}}`, quantity),
			fmt.Sprintf(`{"volumes":[{"name":"v","emptyDir":{"sizeLimit":%q}}]}`, quantity),
		} {
			set := object(fmt.Sprintf("poison-%d-%d", i, j), `{"metadata":{"namespace":"`+mallory+`"},"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":5000000000}},"template":{"spec":`+patch+`}}}`)
			refused(c, fmt.Sprintf("%.20s in %.20s", quantity, patch), m.Create(c.T.Context(), set))
		}
	}
}

// matchFields returns a pod whose two required terms have n matchFields each.
func matchFields(name string, n int) *corev1.Pod {
	term := func(from int) (term corev1.NodeSelectorTerm) {
		for i := range n {
			term.MatchFields = append(term.MatchFields, corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprintf("n%d", from+i)}})
		}
		return term
	}
	heavy := pod(mallory, name)
	heavy.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{term(0), term(100_000)},
	}}}
	return heavy
}

func ownedMatchFields(c *labtest.Cluster, m client.Client) {
	set := own("own")
	makeAs(c, m, set)
	heavy := matchFields("heavy", 20_000)
	heavy.OwnerReferences = []metav1.OwnerReference{controller(set)}
	heavy.Spec.SchedulerName = v1alpha1.SchedulerName
	makeAs(c, m, heavy)
	relabel(c, m, heavy)
}

func orphanedMatchFields(c *labtest.Cluster, m client.Client) {
	heavy := matchFields("orphan", 20_000)
	makeAs(c, m, heavy)
	relabel(c, m, heavy)
}

func controller(set *v1alpha1.DaemonSet) metav1.OwnerReference {
	controls := true
	return metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DaemonSet", Name: set.Name, UID: set.UID, Controller: &controls}
}

// relabel changes an object ten times: each change is an event for every program that watches pods.
func relabel(c *labtest.Cluster, m client.Client, object client.Object) {
	c.T.Helper()
	for i := range 10 {
		c.Must(m.Patch(c.T.Context(), object, client.RawPatch(types.MergePatchType, []byte(fmt.Sprintf(`{"metadata":{"labels":{"x":"%d"}}}`, i)))))
	}
}

func owners(c *labtest.Cluster, m client.Client) {
	heavy := pod(mallory, "owned")
	for i := range 8_000 {
		heavy.OwnerReferences = append(heavy.OwnerReferences, metav1.OwnerReference{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "d", UID: types.UID(fmt.Sprint(i))})
	}
	makeAs(c, m, heavy)
	_ = m.Patch(c.T.Context(), heavy, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"1"}}}`))) // the garbage collector may have deleted it
}

// refusedDaemons need a service account that does not exist, so that each of their pods is refused.
func refusedDaemons(c *labtest.Cluster, m client.Client) {
	for i := range 50 {
		makeAs(c, m, own(fmt.Sprintf("refused-%d", i), func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.NodeSelector, set.Spec.Template.Spec.ServiceAccountName = nil, "missing"
		}))
	}
}

// squat creates pods in the victim's namespace: one that never runs, claims to be of a former DaemonSet of the victim's name and has a finalizer, for
// each node. Whoever may create pods there can do it.
func squat(c *labtest.Cluster, _ client.Client) {
	controls := true
	for i := range members {
		squatter := pod(victims, fmt.Sprintf("squat-%d", i))
		squatter.Finalizers = []string{"eve.example/keep"}
		squatter.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DaemonSet", Name: "v", UID: "11111111-2222-3333-4444-555555555555", Controller: &controls}}
		squatter.Spec.SchedulerName = "none"
		daemon.Pin(&squatter.Spec, lab.NodeName(i))
		c.Make(squatter)
		c.T.Cleanup(func() {
			_ = c.Patch(context.Background(), squatter, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		})
	}
}

// leak has selectors that require a value of a label that the controller sets: every pod and every record would be released as soon as it is created, and
// another one created. everynode.dev refuses it; apps/v1 stores it.
func leak(c *labtest.Cluster, m client.Client) {
	labels := map[string]string{"app": "leak", appsv1.ControllerRevisionHashLabelKey: "mine"}
	set := own("leak", func(set *v1alpha1.DaemonSet) {
		set.Spec.Selector.MatchLabels, set.Spec.Template.Labels, set.Spec.Template.Spec.NodeSelector = labels, labels, nil
	})
	refused(c, "a selector of controller-revision-hash", m.Create(c.T.Context(), set.DeepCopy()))
	native := set.ToApps()
	native.ResourceVersion = ""
	makeAs(c, m, native)
	c.Eventually("the native DaemonSet was observed", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(native), native); err != nil || native.Status.ObservedGeneration == 0 {
			return "not yet", err
		}
		return "", nil
	})
	c.T.Cleanup(func() {
		var pods corev1.PodList
		var records appsv1.ControllerRevisionList
		inMallorys := client.InNamespace(mallory)
		if err := c.List(context.Background(), &pods, inMallorys, client.MatchingLabels{"app": "leak"}); err != nil || len(pods.Items) > members {
			c.T.Errorf("%d pods, %v, want %d at most", len(pods.Items), err, members)
		}
		if err := c.List(context.Background(), &records, inMallorys); err != nil || len(records.Items) > 2 {
			c.T.Errorf("%d ControllerRevisions, %v, want 2 at most", len(records.Items), err)
		}
		_ = c.DeleteAllOf(context.Background(), &corev1.Pod{}, inMallorys, client.MatchingLabels{"app": "leak"}, client.GracePeriodSeconds(0))
		_ = c.DeleteAllOf(context.Background(), &appsv1.ControllerRevision{}, inMallorys)
	})
}

// deletions deletes the pods of a daemon of all nodes as soon as they run, forty times.
func deletions(c *labtest.Cluster, m client.Client) {
	set := own("deleted", func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.NodeSelector = nil })
	makeAs(c, m, set)
	deleted := 0
	c.Eventually("forty pods were deleted", func(ctx context.Context) (string, error) {
		var pods corev1.PodList
		if err := m.List(ctx, &pods, client.InNamespace(mallory)); err != nil {
			return "", err
		}
		for i := range pods.Items {
			if pod := &pods.Items[i]; pod.Labels["app"] == "deleted" && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
				if m.Delete(ctx, pod, client.GracePeriodSeconds(0)) == nil {
					deleted++
				}
			}
		}
		if deleted < 40 {
			return fmt.Sprintf("%d were", deleted), nil
		}
		return "", nil
	})
}

// large writes DaemonSets at the limit of an object's size, sixteen at a time, which the webhook validates.
func large(c *labtest.Cluster, m client.Client) {
	set := own("large")
	for i := range 2_000 {
		set.Spec.Template.Spec.Containers[0].Env = append(set.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("V%d", i), Value: strings.Repeat("x", 400)})
	}
	answers := make(chan error)
	for range 16 {
		go func() {
			var last error
			for range 4 {
				last = m.Create(c.T.Context(), set.DeepCopy(), client.DryRunAll)
			}
			answers <- last
		}()
	}
	for range 16 {
		// 429 is the webhook's answer when it has too much to do.
		if err := <-answers; err != nil && !apierrors.IsTooManyRequests(err) {
			c.T.Errorf("a large DaemonSet: %v", err)
		}
	}
}

// metadataOfMegabytes has what no rule reads, in an object that every program receives.
func metadataOfMegabytes(c *labtest.Cluster, m client.Client) {
	text := strings.Repeat("x", 200_000)
	set := own("annotated", func(set *v1alpha1.DaemonSet) {
		set.Annotations = map[string]string{"a": text}
		set.Spec.Template.Annotations = map[string]string{"b": text}
	})
	makeAs(c, m, set)
	heavy := pod(mallory, "annotated")
	heavy.Annotations = map[string]string{"a": text}
	makeAs(c, m, heavy)
	relabel(c, m, heavy)
	relabel(c, m, set)
}
