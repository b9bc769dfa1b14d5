package corpus

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	upstream "k8s.io/kubernetes/pkg/controller/daemon"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// folderVariable names the folder with the collected manifests.
const folderVariable = "EVERYNODE_CORPUS"

const ourVersion = "everynode.dev/v1alpha1"

// Every DaemonSet has exactly one pod on each node where apps/v1's rules place one, all bound
// by everynode-scheduler.
func TestPodsAreWhereAppsWouldPutThem(t *testing.T) {
	manifests := accepted(t)
	var sets []*appsv1.DaemonSet
	for _, m := range manifests {
		for _, doc := range m.daemonSets {
			set, err := doc.daemonSet()
			if err != nil {
				t.Fatalf("%s: %v", m.file, err)
			}
			sets = append(sets, set)
		}
	}
	cluster := labtest.Start(t, lab.Options{ExtraArgs: map[string][]string{lab.EverynodeScheduler: {"--scheduled-events"}}})
	nodes := addNodes(cluster, sets)
	t.Logf("%d manifests, %d DaemonSets, %d nodes", len(manifests), len(sets), len(nodes))
	witness := cluster.Watch()
	total := 0
	for _, m := range manifests {
		t.Run(m.file, func(t *testing.T) { total += checkManifest(cluster.With(t), m, nodes) })
	}
	t.Logf("%d pods in all", total)
	cluster.Verdict(witness, total)
}

// accepted returns the manifests of the corpus, if it is set, and this package's own.
func accepted(t *testing.T) []*manifest {
	t.Helper()
	manifests, err := readManifests(filepath.Join("testdata", "accepted"))
	if err != nil {
		t.Fatal(err)
	}
	folder := os.Getenv(folderVariable)
	if folder == "" {
		t.Logf("%s is not set: only this package's own manifests are applied", folderVariable)
		return manifests
	}
	collected, err := readManifests(folder)
	if err != nil {
		t.Fatalf("%s: %v", folderVariable, err)
	}
	return append(manifests, collected...)
}

func addNodes(c *labtest.Cluster, sets []*appsv1.DaemonSet) []corev1.Node {
	c.T.Helper()
	resources := resourcesOf(sets)
	for i, spec := range slices.Concat(fixedNodes, derivedNodes(sets)) {
		_, err := c.AddNode(c.T.Context(), lab.NodeName(i), func(node *corev1.Node) { spec.apply(node, resources) })
		c.Must(err)
	}
	c.Must(c.WaitForNodes(c.T.Context()))
	var nodes corev1.NodeList
	c.Must(c.List(c.T.Context(), &nodes))
	return nodes.Items
}

// checkManifest applies a file's DaemonSets as those of everynode.dev, all of them together, because their pods may need each other,
// and returns the number of pods.
func checkManifest(c *labtest.Cluster, m *manifest, nodes []corev1.Node) (pods int) {
	if left := m.summary(); left != "" {
		c.T.Logf("left out: %s", left)
	}
	provide(c, m)
	placed := make([]placement, len(m.daemonSets))
	for i, doc := range m.daemonSets {
		placed[i] = apply(c, doc, nodes)
	}
	for i := range placed {
		set, eligible := &placed[i].set, placed[i].eligible
		checkBoundBy(c, c.WaitForPods(set, eligible...))
		c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
			n := int32(len(eligible))
			return status.DesiredNumberScheduled == n && status.CurrentNumberScheduled == n && status.NumberReady == n && status.UpdatedNumberScheduled == n
		})
		pods += len(eligible)
	}
	for i := range placed {
		c.Must(c.Delete(c.T.Context(), &placed[i].set, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	}
	for i := range placed {
		removePods(c, &placed[i].set)
	}
	removeClasses(c)
	return pods
}

// placement is a DaemonSet of everynode.dev and the nodes that have to run its pods.
type placement struct {
	set      v1alpha1.DaemonSet
	eligible []string
}

// apply creates the DaemonSet of a document as one of everynode.dev.
func apply(c *labtest.Cluster, doc document, nodes []corev1.Node) placement {
	c.T.Helper()
	want, err := doc.daemonSet()
	c.Must(err)
	_, _, err = c.Kubectl(c.T.Context(), doc.as(ourVersion), "apply", "-f", "-")
	c.Must(err)
	made := placement{eligible: oracle(want, nodes)}
	c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(want), &made.set))
	if len(made.eligible) == 0 {
		c.T.Errorf("%s: no node is eligible, so the test proves nothing: add one", want.Name)
	}
	return made
}

// provide creates the objects that the pods of a file's DaemonSets require, beginning with those in the file.
func provide(c *labtest.Cluster, m *manifest) {
	c.T.Helper()
	create := func(object client.Object) {
		if err := c.Create(c.T.Context(), object); err != nil && !apierrors.IsAlreadyExists(err) {
			c.T.Fatal(err)
		}
	}
	var sets []*appsv1.DaemonSet
	for _, doc := range m.daemonSets {
		set, err := doc.daemonSet()
		c.Must(err)
		sets = append(sets, set)
		create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: set.Namespace}})
	}
	for _, doc := range m.needed {
		_, _, err := c.Kubectl(c.T.Context(), doc.text, "apply", "-f", "-")
		c.Must(err)
	}
	for _, set := range sets {
		for _, object := range referred(set) {
			create(object)
		}
	}
}

// referred returns the objects that a DaemonSet's template refers to by name.
func referred(set *appsv1.DaemonSet) []client.Object {
	pod := &set.Spec.Template.Spec
	var objects []client.Object
	for _, name := range []string{"default", pod.ServiceAccountName, pod.DeprecatedServiceAccount} {
		if name != "" {
			objects = append(objects, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: name}})
		}
	}
	if class := pod.PriorityClassName; class != "" && !strings.HasPrefix(class, "system-") {
		objects = append(objects, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Value: 1000000})
	}
	if class := pod.RuntimeClassName; class != nil {
		objects = append(objects, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: *class}, Handler: "runc"})
	}
	return objects
}

// removeClasses deletes all classes, because the next file may contain another one of the same name.
func removeClasses(c *labtest.Cluster) {
	c.T.Helper()
	var priorities schedulingv1.PriorityClassList
	c.Must(c.List(c.T.Context(), &priorities))
	for i := range priorities.Items {
		if class := &priorities.Items[i]; !strings.HasPrefix(class.Name, "system-") {
			c.Must(c.Delete(c.T.Context(), class))
		}
	}
	c.Must(c.DeleteAllOf(c.T.Context(), &nodev1.RuntimeClass{}))
}

// oracle returns the nodes on which upstream's own predicate wants pods.
func oracle(set *appsv1.DaemonSet, nodes []corev1.Node) []string {
	var eligible []string
	for i := range nodes {
		if run, _ := upstream.NodeShouldRunDaemonPod(klog.Background(), &nodes[i], set); run {
			eligible = append(eligible, nodes[i].Name)
		}
	}
	return eligible
}

// checkBoundBy verifies by the events which scheduler bound each pod.
func checkBoundBy(c *labtest.Cluster, pods map[string]corev1.Pod) {
	c.T.Helper()
	waiting := map[string]string{}
	for node, pod := range pods {
		waiting[string(pod.UID)] = pod.Name
		if pod.Spec.SchedulerName != v1alpha1.SchedulerName {
			c.T.Errorf("the pod on %s names scheduler %q, want %q", node, pod.Spec.SchedulerName, v1alpha1.SchedulerName)
		}
	}
	for _, pod := range pods {
		c.Eventually("every pod has an event of everynode-scheduler", func(ctx context.Context) (string, error) {
			var events corev1.EventList
			if err := c.List(ctx, &events, client.InNamespace(pod.Namespace)); err != nil {
				return "", err
			}
			for i := range events.Items {
				event := &events.Items[i]
				if event.Reason == "Scheduled" && event.ReportingController == v1alpha1.SchedulerName {
					delete(waiting, string(event.InvolvedObject.UID))
				}
			}
			if len(waiting) > 0 {
				return fmt.Sprintf("%v have none", slices.Sorted(maps.Values(waiting))), nil
			}
			return "", nil
		})
		return // one list shows them all
	}
}

// removePods does not wait for grace periods: host ports must be free for the next file.
func removePods(c *labtest.Cluster, set *v1alpha1.DaemonSet) {
	c.T.Helper()
	c.Eventually("the pods of "+set.Name+" are deleted", func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, set)
		if err != nil || len(pods) == 0 {
			return "", err
		}
		for i := range pods {
			if err := c.Delete(ctx, &pods[i], client.GracePeriodSeconds(0)); err != nil && !apierrors.IsNotFound(err) {
				return "", err
			}
		}
		return fmt.Sprintf("%d exist", len(pods)), nil
	})
}

// DaemonSets that apps/v1 refuses are refused, with a message that names the same field.
func TestWhatAppsRefusesIsRefused(t *testing.T) {
	folders := []string{filepath.Join("testdata", "refused")}
	if folder := os.Getenv(folderVariable); folder != "" {
		folders = append(folders, filepath.Join(folder, "rejects"))
	}
	// The field that our message names, by file.
	fields := map[string]string{
		"active-deadline.yaml":              "spec.template.spec.activeDeadlineSeconds",
		"empty-selector.yaml":               "spec.selector",
		"fluentd-gcs-no-selector.yaml":      "spec.selector",
		"glusterfs-extensions-v1beta1.yaml": "spec.selector",
		"no-containers.yaml":                "spec.template.spec.containers",
		"restart-policy.yaml":               "spec.template.spec.restartPolicy",
		"selector-mismatch.yaml":            "spec.template.metadata.labels",
		"surge-and-unavailable.yaml":        "spec.updateStrategy",
	}
	c := labtest.Start(t, lab.Options{})
	for _, folder := range folders {
		manifests, err := readManifests(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range manifests {
			t.Run(m.file, func(t *testing.T) {
				for _, doc := range m.daemonSets {
					_, theirs, err := c.Kubectl(t.Context(), doc.as("apps/v1"), "apply", "-f", "-")
					if err == nil {
						t.Error("apps/v1 accepts it, so the test proves nothing")
					}
					_, ours, err := c.Kubectl(t.Context(), doc.as(ourVersion), "apply", "-f", "-")
					if err == nil || fields[m.file] == "" || !strings.Contains(ours, fields[m.file]) {
						t.Errorf("got %v, want a refusal that names %q", err, fields[m.file])
					}
					t.Logf("apps/v1: %s\nours: %s", theirs, ours)
				}
			})
		}
	}
}
