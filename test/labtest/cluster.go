// Package labtest has helpers for tests on a lab or any other cluster: a client, sample DaemonSets, and waiting
// for conditions.
package labtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/race"
)

// Patience bounds every wait on a lab. It exceeds what any operation takes on a busy machine.
var Patience = race.Limit(60 * time.Second)

// Namespace is the namespace of the tests' objects.
const Namespace = metav1.NamespaceDefault

// controller-runtime requires a logger; its client logs nothing that a test needs.
func init() { log.SetLogger(logr.Discard()) }

// Cluster is a lab, or another cluster, with a client of all kinds.
type Cluster struct {
	*lab.Lab // nil if the cluster is not a lab
	client.Client
	// API is client-go's own client of the same cluster; it watches.
	API kubernetes.Interface
	T   testing.TB

	patience time.Duration
}

// Start starts a lab for a test; it stops with the test.
func Start(t testing.TB, options lab.Options) *Cluster {
	t.Helper()
	return Of(t, lab.Start(t, options))
}

// Of returns the cluster of a running lab, which outlives the test.
func Of(t testing.TB, running *lab.Lab) *Cluster {
	t.Helper()
	objects, err := running.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{Lab: running, Client: objects, API: running.Client, T: t, patience: Patience}
}

// Attach returns an existing cluster for an admin; patience bounds every wait.
func Attach(t testing.TB, admin *rest.Config, patience time.Duration) *Cluster {
	t.Helper()
	objects, err := lab.NewClient(admin)
	if err != nil {
		t.Fatal(err)
	}
	api, err := kubernetes.NewForConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{Client: objects, API: api, T: t, patience: patience}
}

// With returns the same cluster for a subtest.
func (c *Cluster) With(t testing.TB) *Cluster {
	sub := *c
	sub.T = t
	return &sub
}

// Within returns the same cluster with another limit for every wait.
func (c *Cluster) Within(patience time.Duration) *Cluster {
	patient := *c
	patient.patience = patience
	return &patient
}

// Eventually fails the test unless the answer becomes "" (the condition holds) in time.
func (c *Cluster) Eventually(what string, missing func(context.Context) (string, error)) {
	c.T.Helper()
	ctx, cancel := context.WithTimeoutCause(c.T.Context(), c.patience, fmt.Errorf("not within %s", c.patience))
	defer cancel()
	if err := lab.Eventually(ctx, what, missing); err != nil {
		c.T.Fatal(err)
	}
}

// Must fails the test on an error.
func (c *Cluster) Must(err error) {
	c.T.Helper()
	if err != nil {
		c.T.Fatal(err)
	}
}

// Make creates objects and deletes them, with their dependents, when the test ends. On a lab, where pods run no
// processes, it does not wait for the deletion.
func (c *Cluster) Make(objects ...client.Object) {
	c.T.Helper()
	options := []client.DeleteOption{client.PropagationPolicy(metav1.DeletePropagationBackground)}
	if c.Lab != nil {
		options = append(options, client.GracePeriodSeconds(0))
	}
	for _, object := range objects {
		c.Must(c.Create(c.T.Context(), object))
		c.T.Cleanup(func() { _ = c.Delete(context.Background(), object, options...) })
	}
}

// DaemonSet returns a small daemon for every node, changed by the mutators.
func DaemonSet(name string, mutators ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	labels := map[string]string{"app": name}
	no := int64(0)
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name},
		Spec: v1alpha1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels)},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &no,
					Containers:                    []corev1.Container{{Name: "main", Image: "example.com/" + name}},
				},
			},
		},
	}
	for _, mutate := range mutators {
		mutate(set)
	}
	return set
}

// PodsOf lists the pods that a daemon controls, sorted by name.
func (c *Cluster) PodsOf(ctx context.Context, set metav1.Object) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(set.GetNamespace())); err != nil {
		return nil, err
	}
	owned := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, set) })
	slices.SortFunc(owned, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return owned, nil
}

// WaitForPods waits until a daemon has exactly one pod, bound and ready, on each of the nodes, and no other
// pods, and returns them by node.
func (c *Cluster) WaitForPods(set metav1.Object, nodes ...string) map[string]corev1.Pod {
	c.T.Helper()
	var found map[string]corev1.Pod
	c.Eventually(fmt.Sprintf("%s runs on %v", set.GetName(), nodes), func(ctx context.Context) (string, error) {
		pods, err := c.PodsOf(ctx, set)
		if err != nil {
			return "", err
		}
		found = map[string]corev1.Pod{}
		for _, pod := range pods {
			if !lab.PodReady(&pod) || pod.DeletionTimestamp != nil {
				return fmt.Sprintf("pod %s is %s", pod.Name, describe(&pod)), nil
			}
			if other, twice := found[pod.Spec.NodeName]; twice {
				return fmt.Sprintf("pods %s and %s are both on %s", pod.Name, other.Name, pod.Spec.NodeName), nil
			}
			found[pod.Spec.NodeName] = pod
		}
		want := slices.Sorted(slices.Values(nodes))
		if have := slices.Sorted(maps.Keys(found)); !slices.Equal(have, want) {
			return fmt.Sprintf("it runs on %v", have), nil
		}
		return "", nil
	})
	return found
}

// WaitForEvent waits for an event of a daemon whose message contains text.
func (c *Cluster) WaitForEvent(set *v1alpha1.DaemonSet, reason, text string) {
	c.T.Helper()
	c.Eventually(fmt.Sprintf("%s has an event %s with %q", set.Name, reason, text), func(ctx context.Context) (string, error) {
		var events corev1.EventList
		if err := c.List(ctx, &events, client.InNamespace(set.Namespace)); err != nil {
			return "", err
		}
		for i := range events.Items {
			event := &events.Items[i]
			if event.InvolvedObject.UID == set.UID && event.Reason == reason && strings.Contains(event.Message, text) {
				return "", nil
			}
		}
		return fmt.Sprintf("none among %d events", len(events.Items)), nil
	})
}

// WaitForStatus waits until a condition holds for a daemon's status, and reads the daemon into set.
func (c *Cluster) WaitForStatus(set *v1alpha1.DaemonSet, holds func(*v1alpha1.DaemonSetStatus) bool) {
	c.T.Helper()
	c.Eventually("the status of "+set.Name+" is as expected", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return "", err
		}
		if !holds(&set.Status) {
			return fmt.Sprintf("%+v", set.Status), nil
		}
		return "", nil
	})
}

// NothingForbidden checks the logs of Everynode's processes: the RBAC rules in deploy/ must be sufficient.
func (c *Cluster) NothingForbidden() {
	c.T.Helper()
	for _, name := range []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler} {
		log, err := os.ReadFile(c.Component(name).LogPath())
		if errors.Is(err, os.ErrNotExist) {
			continue // not part of the lab
		}
		c.Must(err)
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "is forbidden: User ") || strings.Contains(line, " cannot list resource ") {
				c.T.Errorf("%s: %s", name, line)
			}
		}
	}
}

func describe(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "terminating"
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return fmt.Sprintf("%s: %s: %s", pod.Status.Phase, condition.Reason, condition.Message)
		}
	}
	return string(pod.Status.Phase)
}

// NodeNames returns the names of the first n nodes of a lab.
func NodeNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = lab.NodeName(i)
	}
	return names
}
