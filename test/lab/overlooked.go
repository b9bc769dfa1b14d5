package lab

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// reminder is an annotation whose change makes kwok look at a pod.
const reminder = "lab.everynode.dev/look-at"

// overdue is how long a pod may wait for kwok before it is changed; one that is due later than that is not waited for. The times in
// objects are whole seconds.
const overdue = 3 * time.Second

// remindKwok waits until kwok has acted on all pods of the named nodes, or of all if none is named, and changes the pods that it
// overlooked. When a node is created again, kwok lists the pods on it as soon as it has created the node's lease, but ignores all
// pods of nodes whose lease is not in its cache yet (kwok v0.8.0, pkg/kwok/controllers: NodeLeaseController.sync calls
// onNodeManaged, PodController.watchResources skips a "read only" pod). On a busy machine the cache is late, and nothing makes kwok
// look again; a kubelet would.
func (l *Lab) remindKwok(ctx context.Context, nodes []string) error {
	return Eventually(ctx, "kwok has acted on the pods of nodes that were created again", func(ctx context.Context) (string, error) {
		pods, err := l.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return "", err
		}
		now := time.Now()
		late := ""
		for i := range pods.Items {
			pod := &pods.Items[i]
			due, waits := dueAt(pod)
			if !waits || due.After(now.Add(overdue)) || len(nodes) > 0 && !slices.Contains(nodes, pod.Spec.NodeName) {
				continue
			}
			late = fmt.Sprintf("pod %s/%s on node %s", pod.Namespace, pod.Name, pod.Spec.NodeName)
			if now.Sub(due) < overdue {
				continue // kwok has time left
			}
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, reminder, now.Format(time.RFC3339Nano))
			_, err := l.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return "", fmt.Errorf("reminding kwok of %s: %w", late, err)
			}
		}
		return late, nil
	})
}

// dueAt returns when kwok is to remove or start a pod; false if it has nothing to do.
func dueAt(pod *corev1.Pod) (due time.Time, waits bool) {
	if pod.Spec.NodeName == "" {
		return due, false
	}
	if pod.DeletionTimestamp != nil {
		return pod.DeletionTimestamp.Time, len(pod.Finalizers) == 0
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time, pod.Status.Phase == corev1.PodPending && pod.Status.StartTime == nil
		}
	}
	return due, false
}
