package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
)

// stage is the lab of the demo.
type stage struct {
	*lab.Lab
	Client client.Client
}

// kubectl runs kubectl as a user would.
func (s *stage) kubectl(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := s.Kubectl(ctx, "", args...)
		return err
	}
}

// podsOf lists a daemon's pods by their node or target node; by label, so that it includes orphans.
func (s *stage) podsOf(ctx context.Context, name string) (map[string]corev1.Pod, error) {
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(metav1.NamespaceDefault), client.MatchingLabels{"app": name}); err != nil {
		return nil, err
	}
	byNode := map[string]corev1.Pod{}
	for _, pod := range pods.Items {
		target, _ := daemon.Target(&pod)
		byNode[target] = pod
	}
	return byNode, nil
}

// runsOn expects a daemon's pods to be Running on exactly these nodes.
func (s *stage) runsOn(name string, nodes ...string) expectation {
	slices.Sort(nodes)
	text := fmt.Sprintf("%s runs on %s", name, list(nodes))
	return expectation{text, func(ctx context.Context) (string, bool, error) {
		pods, err := s.podsOf(ctx, name)
		if err != nil {
			return "", false, err
		}
		var running []string
		for node, pod := range pods {
			if pod.Status.Phase != corev1.PodRunning || pod.Spec.NodeName != node || pod.DeletionTimestamp != nil {
				return fmt.Sprintf("pod %s is not Running on %s", pod.Name, node), false, nil
			}
			running = append(running, node)
		}
		slices.Sort(running)
		return "Running on " + list(running), slices.Equal(running, nodes), nil
	}}
}

// waitsOn expects a daemon's pod for a node to be Pending with a message that contains text.
func (s *stage) waitsOn(name, node, text string) expectation {
	return expectation{fmt.Sprintf("%s's pod for %s stays Pending with the reason", name, node), func(ctx context.Context) (string, bool, error) {
		pods, err := s.podsOf(ctx, name)
		if err != nil {
			return "", false, err
		}
		pod, found := pods[node]
		if !found {
			return "there is no pod", false, nil
		}
		return string(pod.Status.Phase) + ": " + why(&pod), pod.Status.Phase == corev1.PodPending && strings.Contains(why(&pod), text), nil
	}}
}

// why returns the scheduler's reason why a pod waits.
func why(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return strings.TrimSuffix(condition.Message, ".")
		}
	}
	return "the scheduler has not tried it"
}

// gone expects an object not to exist.
func (s *stage) gone(text string, object client.Object, name string) expectation {
	return expectation{text, func(ctx context.Context) (string, bool, error) {
		err := s.Client.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: name}, object)
		if apierrors.IsNotFound(err) {
			return name + " is gone", true, nil
		}
		return name + " exists", false, err
	}}
}

// counts expects numbers in the status, as kubectl get nds shows them.
func (s *stage) counts(name string, desired, ready int32) expectation {
	text := fmt.Sprintf("status of %s: DESIRED %d, CURRENT %d, READY %d", name, desired, desired, ready)
	return expectation{text, func(ctx context.Context) (string, bool, error) {
		var set v1alpha1.DaemonSet
		if err := s.Client.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: name}, &set); err != nil {
			return "", false, err
		}
		status := &set.Status
		return fmt.Sprintf("DESIRED %d, CURRENT %d, READY %d", status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.NumberReady),
			status.DesiredNumberScheduled == desired && status.CurrentNumberScheduled == desired && status.NumberReady == ready, nil
	}}
}

func list(names []string) string {
	if len(names) == 0 {
		return "no node"
	}
	return strings.Join(names, ", ")
}
