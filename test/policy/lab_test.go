package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// answersOf is the number of random pods that are sent to each API server; EVERYNODE_ANSWERS changes it.
func answersOf(t *testing.T) int {
	text, given := os.LookupEnv("EVERYNODE_ANSWERS")
	if !given {
		return 1500
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("EVERYNODE_ANSWERS=%s is not a number", text)
	}
	return count
}

// A real API server returns the same result for a pod as for daemon.Rewrite's result,
// whether the webhook or the policies place it. Pods are sent as dry runs.
func TestOneAnswerOfTheAPIServer(t *testing.T) {
	idle := []string{lab.Scheduler, lab.Kwok, lab.Controller, lab.EverynodeScheduler}
	for placement, placedBy := range map[string]string{lab.PlacementPolicy: v1alpha1.PlacedByPolicy, lab.PlacementWebhook: v1alpha1.PlacedByWebhook} {
		t.Run(placement, func(t *testing.T) {
			c := labtest.Start(t, lab.Options{Placement: placement, Without: idle})
			makeNamespaces(c)
			waitUntilPlaced(c)
			var placed, refused, others atomic.Int64
			parallel(8, answersOf(t), func(seed int) {
				r := drawRequest.Example(seed)
				r.pod, r.groups = valid(r.pod), nil // every request is the lab's admin's
				asked, err := answers(c, placedBy, r)
				switch {
				case err != nil:
					t.Errorf("seed %d: %v\nof %+v, %s", seed, err, r, encode(r.pod))
				case asked == nil && r.optsIn():
					refused.Add(1)
				case r.optsIn():
					placed.Add(1)
				default:
					others.Add(1)
				}
			})
			t.Logf("%d pods were placed, %d refused, %d not affected by admission", placed.Load(), refused.Load(), others.Load())
			if placed.Load() == 0 || refused.Load() == 0 || others.Load() == 0 {
				t.Error("the random pods do not cover every case")
			}
		})
	}
}

func makeNamespaces(c *labtest.Cluster) {
	c.T.Helper()
	for _, namespace := range namespaces {
		if namespace.Name == v1alpha1.SystemNamespace {
			c.Must(c.Patch(c.T.Context(), namespace.DeepCopy(), client.Merge))
			continue
		}
		c.Must(c.Create(c.T.Context(), namespace.DeepCopy()))
	}
	for _, namespace := range namespaces {
		c.Eventually("pods can be created in "+namespace.Name, func(ctx context.Context) (string, error) {
			return "", c.Get(ctx, client.ObjectKey{Namespace: namespace.Name, Name: "default"}, &corev1.ServiceAccount{})
		})
	}
}

// waitUntilPlaced waits until each way to opt in is effective.
func waitUntilPlaced(c *labtest.Cluster) {
	c.T.Helper()
	for name, change := range map[string]func(*corev1.Pod){
		"plain": func(pod *corev1.Pod) {
			metav1.SetMetaDataLabel(&pod.ObjectMeta, v1alpha1.PlacementLabel, v1alpha1.PlacementScheduler)
		},
		"asking": func(*corev1.Pod) {},
	} {
		c.Eventually("pods of "+name+" are placed", func(ctx context.Context) (string, error) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "p"}, Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "c"}}}}
			change(pod)
			if err := c.Create(ctx, pod, client.DryRunAll); err != nil {
				return "", err
			}
			if pod.Spec.NodeName != "" {
				return "it is not", nil
			}
			return "", nil
		})
	}
}

// answers returns how the API server's answer to a pod differs from its answer to
// daemon.Rewrite's result. The pod is nil if it is refused, as expected.
func answers(c *labtest.Cluster, placedBy string, r request) (*corev1.Pod, error) {
	got := r.pod.DeepCopy()
	gotErr := c.Create(context.Background(), got, client.DryRunAll)
	want, err := rewrite{placedBy}.admit(context.Background(), r)
	var contradiction *daemon.ContradictoryPinError
	if errors.As(err, &contradiction) || errors.Is(err, errInterlock) {
		told := gotErr != nil && strings.Contains(gotErr.Error(), err.Error())
		held := apierrors.IsInvalid(gotErr) && strings.Contains(gotErr.Error(), errInterlock.Error())
		if !told && !held {
			return nil, notRefused(gotErr, err)
		}
		return nil, nil
	}
	if err := c.Create(context.Background(), want, client.DryRunAll); err != nil {
		return nil, fmt.Errorf("the rewritten pod is refused: %w", err)
	}
	if gotErr != nil {
		return nil, fmt.Errorf("the pod is refused, and should not be: %w", gotErr)
	}
	for _, pod := range []*corev1.Pod{got, want} {
		pod.UID, pod.CreationTimestamp, pod.ManagedFields, pod.Status = "", metav1.Time{}, nil, corev1.PodStatus{} // these contain times
	}
	if !same(want, got) {
		return nil, fmt.Errorf("got %s, want %s", encode(got), encode(want))
	}
	return got, nil
}

// valid makes a random pod acceptable to the API server, except for the fields under test.
func valid(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.AutomountServiceAccountToken = new(false) // its volume has a random name
	if pod.Spec.NodeName == "node/with~odd.name" {
		pod.Spec.NodeName = "n3"
	}
	delete(pod.Annotations, "a~1b/c")
	delete(pod.Annotations, corev1.MirrorPodAnnotationKey) // only kubelets may
	pod.Spec.SchedulingGates = slices.CompactFunc(pod.Spec.SchedulingGates, func(a, b corev1.PodSchedulingGate) bool { return a.Name == b.Name })
	for i := range pod.OwnerReferences {
		pod.OwnerReferences[i].UID += "-" // without an owner
	}
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return pod
	}
	affinity := pod.Spec.Affinity.NodeAffinity
	affinity.PreferredDuringSchedulingIgnoredDuringExecution = nil
	required := affinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil || len(required.NodeSelectorTerms) == 0 {
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = nil
		return pod
	}
	for i := range required.NodeSelectorTerms {
		term := &required.NodeSelectorTerms[i]
		for j := range term.MatchFields {
			field := &term.MatchFields[j]
			field.Key = metav1.ObjectNameField
			if field.Operator == corev1.NodeSelectorOpExists {
				field.Operator = corev1.NodeSelectorOpNotIn
			}
			field.Values = append(field.Values, "n1")[:1]
			if field.Values[0] == "node/with~odd.name" {
				field.Values[0] = "n3"
			}
		}
	}
	return pod
}

// parallel calls a function for each number below n, several at a time.
func parallel(workers, n int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	all.Wait()
}
