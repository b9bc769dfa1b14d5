package placement

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// yamlBlock matches a block of YAML in a manual.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// fromManual returns the pod of the first block, and the stored form in the second.
func fromManual(t *testing.T) (manifest string, stored map[string]any) {
	t.Helper()
	manual, err := os.ReadFile("../../docs/admission.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlock.FindAllSubmatch(manual, -1)
	if len(blocks) < 2 {
		t.Fatal("docs/admission.md does not show a pod before and after")
	}
	if err := yaml.Unmarshal(blocks[1][1], &stored); err != nil {
		t.Fatal(err)
	}
	return string(blocks[0][1]), stored
}

// checkBarePod: the bare pod of the manual is stored as the manual states, waits while its node is cordoned,
// which a pod with nodeName would not, and is bound by the scheduler that it names.
func checkBarePod(t *testing.T, c *labtest.Cluster) {
	manifest, stored := fromManual(t)
	c.Must(c.Component(lab.Scheduler).Stop(t.Context())) // not decided yet
	pod := &corev1.Pod{}
	c.Must(yaml.UnmarshalStrict([]byte(manifest), pod))
	node := &corev1.Node{}
	c.Must(c.Get(t.Context(), client.ObjectKey{Name: pod.Spec.NodeName}, node))
	cordon(c, node, true)
	_, _, err := c.Kubectl(t.Context(), manifest, "create", "--filename=-")
	c.Must(err)
	t.Cleanup(func() { _ = c.Delete(context.Background(), pod, client.GracePeriodSeconds(0)) })

	read := &unstructured.Unstructured{}
	read.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	c.Must(c.Get(t.Context(), client.ObjectKeyFromObject(pod), read))
	for _, field := range [][]string{{"metadata", "annotations"}, {"spec", "affinity"}} {
		got, _, gotErr := unstructured.NestedFieldNoCopy(read.Object, field...)
		want, _, wantErr := unstructured.NestedFieldNoCopy(stored, field...)
		c.Must(errors.Join(gotErr, wantErr))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-manual, +stored):\n%s", field, diff)
		}
	}
	c.Must(c.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
	if pod.Status.Phase != corev1.PodPending || pod.Spec.NodeName != "" {
		t.Fatalf("the pod is %s on %q, want it Pending", pod.Status.Phase, pod.Spec.NodeName)
	}

	c.Must(c.Component(lab.Scheduler).Restart(t.Context()))
	c.Eventually("the pod waits for its node, which is cordoned", func(ctx context.Context) (string, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && strings.Contains(condition.Message, "unschedulable") {
				return "", err
			}
		}
		return fmt.Sprintf("%+v", pod.Status.Conditions), err
	})
	cordon(c, node, false)
	c.Eventually("the pod is bound", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil || pod.Spec.NodeName == "" {
			return "it is not", err
		}
		return "", nil
	})
	if pod.Spec.NodeName != node.Name || pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
		t.Errorf("%s bound it to %s, want %s to %s", pod.Spec.SchedulerName, pod.Spec.NodeName, corev1.DefaultSchedulerName, node.Name)
	}
}

func cordon(c *labtest.Cluster, node *corev1.Node, cordoned bool) {
	c.T.Helper()
	before := node.DeepCopy()
	node.Spec.Unschedulable = cordoned
	c.Must(c.Patch(c.T.Context(), node, client.MergeFrom(before)))
}
