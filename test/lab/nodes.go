package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

const (
	// NotReadyAnnotation on a node, with the value "true", makes it NotReady and keeps it so, as SetNotReady
	// does.
	NotReadyAnnotation = "lab.everynode.dev/not-ready"

	// createWorkers is how many nodes are created concurrently.
	createWorkers = 8
	// conditionPoll is the interval of polling.
	conditionPoll = 50 * time.Millisecond
)

// NodeName returns the name of the i-th initial node, from 0.
func NodeName(i int) string { return fmt.Sprintf("lab-node-%d", i) }

// AddNode creates a simulated node of 4 CPUs, 8 GiB and 110 pods, changed by the mutators. It
// does not wait until the node is ready; WaitForNodes does.
func (l *Lab) AddNode(ctx context.Context, name string, mutators ...func(*corev1.Node)) (*corev1.Node, error) {
	node := newNode(name, l.nodeAddress())
	for _, mutate := range mutators {
		mutate(node)
	}
	created, err := l.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("adding node %s: %w", name, err)
	}
	return created, nil
}

// nodeAddress returns a different address for every node, outside of the pods' range.
func (l *Lab) nodeAddress() string {
	n := l.addresses.Add(1) - 1
	return fmt.Sprintf("172.%d.%d.%d", 20+n/(250*250), n/250%250, n%250+1)
}

func newNode(name, address string) *corev1.Node {
	now := metav1.Now()
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("4"),
		corev1.ResourceMemory:           resource.MustParse("8Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: "amd64",
			},
		},
		Status: corev1.NodeStatus{
			Phase:       corev1.NodeRunning,
			Capacity:    room,
			Allocatable: room.DeepCopy(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: address},
				{Type: corev1.NodeHostName, Address: name},
			},
			NodeInfo: corev1.NodeSystemInfo{
				OperatingSystem: "linux", Architecture: "amd64", OSImage: "kwok",
				KernelVersion: "kwok", KubeletVersion: "kwok", ContainerRuntimeVersion: "kwok",
			},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue,
				Reason: "KubeletReady", Message: "simulated by kwok",
				LastHeartbeatTime: now, LastTransitionTime: now,
			}},
		},
	}
}

// addNodes creates the initial nodes, a few at a time.
func (l *Lab) addNodes(ctx context.Context, n int) error {
	tasks := make([]func(context.Context) error, n)
	for i := range tasks {
		tasks[i] = func(ctx context.Context) error {
			_, err := l.AddNode(ctx, NodeName(i))
			return err
		}
	}
	return inParallel(ctx, createWorkers, tasks...)
}

// WaitForNodes waits until the named nodes, or all if none is named, are Ready and without the not-ready taint, and until kwok
// knows of the pods that were on them before.
func (l *Lab) WaitForNodes(ctx context.Context, names ...string) error {
	err := Eventually(ctx, "nodes are ready", func(ctx context.Context) (string, error) {
		nodes, err := l.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return "", err
		}
		ready := map[string]bool{}
		for i := range nodes.Items {
			ready[nodes.Items[i].Name] = serves(&nodes.Items[i])
		}
		waitFor := names
		if len(names) == 0 {
			for name := range ready {
				waitFor = append(waitFor, name)
			}
			slices.Sort(waitFor)
		}
		for _, name := range waitFor {
			if !ready[name] {
				return "node " + name + " is not ready yet", nil
			}
		}
		return "", nil
	})
	if err != nil || !l.options.starts(Kwok) {
		return err
	}
	return l.remindKwok(ctx, names)
}

// serves reports whether a node is Ready and accepts pods.
func serves(node *corev1.Node) bool {
	tainted := slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
		return taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable
	})
	return readyStatus(node) == corev1.ConditionTrue && !tainted
}

func readyStatus(node *corev1.Node) corev1.ConditionStatus {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status
		}
	}
	return corev1.ConditionUnknown
}

// DeleteNode deletes a node and its lease, so that a node of the same name starts from scratch. The node's pods
// are deleted as in a cluster: by its controllers and the pod garbage collector.
func (l *Lab) DeleteNode(ctx context.Context, name string) error {
	if err := l.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting node %s: %w", name, err)
	}
	err := l.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the lease of node %s: %w", name, err)
	}
	return nil
}

// UpdateNode changes a node, and retries on conflicts.
func (l *Lab) UpdateNode(ctx context.Context, name string, mutate func(*corev1.Node)) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		node, err := l.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		mutate(node)
		_, err = l.Client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("changing node %s: %w", name, err)
	}
	return nil
}

// LabelNode sets a label of a node; the empty value removes it.
func (l *Lab) LabelNode(ctx context.Context, name, key, value string) error {
	return l.UpdateNode(ctx, name, func(node *corev1.Node) {
		if value == "" {
			delete(node.Labels, key)
			return
		}
		metav1.SetMetaDataLabel(&node.ObjectMeta, key, value)
	})
}

// TaintNode gives a node a taint; one of the same key and effect is replaced.
func (l *Lab) TaintNode(ctx context.Context, name string, taint corev1.Taint) error {
	return l.UpdateNode(ctx, name, func(node *corev1.Node) {
		node.Spec.Taints = append(withoutTaint(node.Spec.Taints, taint), taint)
	})
}

// UntaintNode removes the taint of that key and effect from a node.
func (l *Lab) UntaintNode(ctx context.Context, name string, taint corev1.Taint) error {
	return l.UpdateNode(ctx, name, func(node *corev1.Node) {
		node.Spec.Taints = withoutTaint(node.Spec.Taints, taint)
	})
}

func withoutTaint(taints []corev1.Taint, taint corev1.Taint) []corev1.Taint {
	return slices.DeleteFunc(taints, func(have corev1.Taint) bool { return have.MatchTaint(&taint) })
}

// SetNotReady makes a node NotReady and keeps it so, or makes it Ready again, and waits for its Ready
// condition. kube-controller-manager manages the taints, within about a second.
func (l *Lab) SetNotReady(ctx context.Context, name string, notReady bool) error {
	want, value := corev1.ConditionTrue, any(nil)
	if notReady {
		want, value = corev1.ConditionFalse, "true"
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{NotReadyAnnotation: value}}})
	if err != nil {
		return err
	}
	if _, err := l.Client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("setting node %s NotReady=%t: %w", name, notReady, err)
	}
	err = Eventually(ctx, fmt.Sprintf("node %s has Ready=%s", name, want), func(ctx context.Context) (string, error) {
		node, err := l.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if got := readyStatus(node); got != want {
			return "Ready=" + string(got), nil
		}
		return "", nil
	})
	return err
}

// PodReady reports whether a pod has not finished and its condition Ready is True. A test that fails a pod may leave the condition.
func PodReady(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded && slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// dropNodeLeases lets a new kwok manage the nodes at once; otherwise it waits until the leases of its
// predecessor expire.
func (l *Lab) dropNodeLeases(ctx context.Context) error {
	err := l.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("deleting the nodes' leases: %w", err)
	}
	return nil
}
