package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/kind"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const (
	// dirVariable names the folder of the clusters' kubeconfigs and logs. make e2e sets it; without it the
	// tests are skipped.
	dirVariable = "EVERYNODE_E2E"
	// imageVariable names the nodes' image; "" means kind's own.
	imageVariable = "KIND_NODE_IMAGE"
	// keepVariable, when set, keeps the clusters.
	keepVariable = "EVERYNODE_E2E_KEEP"

	// patience bounds every wait. It is long, because machines are slow and kubelets restart.
	patience = 3 * time.Minute
	// cleanUpLimit bounds the clean-up after a test.
	cleanUpLimit = 5 * time.Minute

	// standing is the daemon that keeps running through all cases.
	standing = "standing"
	// image is the image of the test pods: examples/server.
	image = "everynode/example-server:dev"
)

// stage is a cluster with Everynode in it.
type stage struct {
	*labtest.Cluster
	kind *kind.Cluster
	// workers are the nodes without taints.
	workers []string
}

// newStage creates a cluster for a test, and deletes it after the test. Everynode is not installed yet.
func newStage(t *testing.T, name string, shape kind.Shape) *stage {
	t.Helper()
	dir := os.Getenv(dirVariable)
	if dir == "" {
		t.Skip("needs a Docker engine, images and tools: run make e2e")
	}
	cluster, err := kind.Create(t.Context(), kind.Options{
		Name: "e2e-" + name, Shape: shape, Image: os.Getenv(imageVariable), Root: "../..", Dir: dir + "/" + name,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if os.Getenv(keepVariable) != "" {
			t.Logf("the cluster is kept: export KUBECONFIG=%s; to delete it: bin/kind delete cluster --name %s", cluster.Kubeconfig, cluster.Name)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
		defer cancel()
		if err := cluster.Delete(ctx); err != nil {
			t.Error(err)
		}
	})
	admin, err := cluster.Config()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Cluster: labtest.Attach(t, admin, patience), kind: cluster}
	nodes, err := cluster.Nodes(t.Context())
	s.Must(err)
	s.workers = slices.DeleteFunc(nodes, func(node string) bool { return strings.HasSuffix(node, "control-plane") })
	s.Must(cluster.LoadEverynode(t.Context()))
	s.Must(cluster.Load(t.Context(), "bin/image/example-server.tar"))
	return s
}

// run runs a case. Diagnostics of a failure are collected before its objects are deleted.
func (s *stage) run(name string, test func(*stage)) bool {
	return s.T.(*testing.T).Run(name, func(t *testing.T) {
		sub := &stage{Cluster: s.With(t), kind: s.kind, workers: s.workers}
		begun := time.Now()
		defer func() {
			if t.Failed() {
				sub.collect()
			}
			t.Logf("%.0f s", time.Since(begun).Seconds())
		}()
		test(sub)
	})
}

func (s *stage) collect() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	if err := s.kind.Collect(ctx, s.T.Name()); err != nil {
		s.T.Logf("some logs could not be collected: %v", err)
	}
	s.T.Logf("logs: %s", s.kind.LogsOf(s.T.Name()))
}

// kubectl runs kubectl, which has to succeed, and returns its output.
func (s *stage) kubectl(args ...string) string {
	s.T.Helper()
	out, err := s.kind.Kubectl(s.T.Context(), args...)
	s.Must(err)
	return out
}

// onNode runs a command on a node.
func (s *stage) onNode(node string, command ...string) string {
	s.T.Helper()
	out, err := s.kind.Exec(s.T.Context(), node, command...)
	s.Must(err)
	return out
}

// serving returns a daemon whose pods answer at port 8080 and are ready once they do.
func serving(name string, mutators ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	return labtest.DaemonSet(name, append([]func(*v1alpha1.DaemonSet){func(set *v1alpha1.DaemonSet) {
		pod := &set.Spec.Template.Spec
		pod.TerminationGracePeriodSeconds = new(int64(2))
		pod.Containers = []corev1.Container{serverContainer("serve")}
		pod.Containers[0].ReadinessProbe = &corev1.Probe{
			PeriodSeconds: 1, TimeoutSeconds: 10,
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intOrString(8080)}},
		}
	}}, mutators...)...)
}

// serverContainer runs examples/server in a role.
func serverContainer(args ...string) corev1.Container {
	return corev1.Container{Name: "main", Image: image, ImagePullPolicy: corev1.PullNever, Args: args}
}

// revised sets a revision in a daemon's template, which its pods return.
func revised(revision string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "REVISION", Value: revision}}
	}
}

// onlyOn restricts a daemon to one node.
func onlyOn(node string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
}

// requesting sets a resource request of a daemon's pods.
func requesting(name corev1.ResourceName, quantity resource.Quantity) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { request(&set.Spec.Template.Spec, name, quantity) }
}

func request(pod *corev1.PodSpec, name corev1.ResourceName, quantity resource.Quantity) {
	pod.Containers[0].Resources.Requests = corev1.ResourceList{name: quantity}
}

// barePod returns a pod without a controller.
func barePod(name string, mutators ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: name},
		Spec:       corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(2)), Containers: []corev1.Container{serverContainer("serve")}},
	}
	for _, mutate := range mutators {
		mutate(pod)
	}
	return pod
}

// cleared waits until the pods of former cases are gone, and their requests with them.
func (s *stage) cleared() {
	s.T.Helper()
	s.Eventually("the pods of former cases are gone", func(ctx context.Context) (string, error) {
		var pods corev1.PodList
		if err := s.List(ctx, &pods, client.InNamespace(labtest.Namespace)); err != nil {
			return "", err
		}
		for _, pod := range pods.Items {
			if pod.Labels["app"] != standing {
				return pod.Name + " still exists", nil
			}
		}
		return "", nil
	})
}

// free returns how much memory of a node is not requested.
func (s *stage) free(node string) int64 {
	s.T.Helper()
	var read corev1.Node
	s.Must(s.Get(s.T.Context(), client.ObjectKey{Name: node}, &read))
	left := read.Status.Allocatable.Memory().Value()
	var pods corev1.PodList
	s.Must(s.List(s.T.Context(), &pods))
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName != node {
			continue
		}
		for _, container := range pods.Items[i].Spec.Containers {
			left -= container.Resources.Requests.Memory().Value()
		}
	}
	return left
}

// waitReady waits until a pod is ready.
func (s *stage) waitReady(pod *corev1.Pod) {
	s.T.Helper()
	s.Eventually("pod "+pod.Name+" is ready", func(ctx context.Context) (string, error) {
		if err := s.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return "", err
		}
		if !lab.PodReady(pod) {
			return fmt.Sprintf("%s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses), nil
		}
		return "", nil
	})
}

// waitGone waits until an object is deleted.
func (s *stage) waitGone(object client.Object) {
	s.T.Helper()
	s.Eventually(object.GetName()+" is gone", func(ctx context.Context) (string, error) {
		err := s.Get(ctx, client.ObjectKeyFromObject(object), object)
		if err == nil {
			return "it still exists", nil
		}
		return "", client.IgnoreNotFound(err)
	})
}

// nodeReady returns why a node is not ready.
func nodeReady(node *corev1.Node) string {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return condition.Message
		} else if condition.Type == corev1.NodeReady {
			return ""
		}
	}
	return "its kubelet has not reported a status"
}
