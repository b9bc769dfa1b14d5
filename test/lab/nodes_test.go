package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kwok must not write more than 50 leases a second, and must write each of them four times before it expires.
func TestLeaseDuration(t *testing.T) {
	for nodes, want := range map[int]time.Duration{0: 40 * time.Second, 50: 40 * time.Second, 500: 40 * time.Second, 1000: 80 * time.Second, 5000: 400 * time.Second} {
		if got := leaseDuration(nodes); got != want {
			t.Errorf("leaseDuration(%d) = %s, want %s", nodes, got, want)
		}
	}
}

// The conditions that the node lifecycle controller writes when a lease expires are reverted; a pod whose containers are not ready stays unready.
func TestUnreadyPodsAreReadyAgain(t *testing.T) {
	l := Start(t, Options{Nodes: 1, Without: []string{Controller, Webhook, EverynodeScheduler}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	names := []string{"broken", "ready"} // kwok processes writes in order
	for _, name := range names {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{NodeName: NodeName(0), Containers: []corev1.Container{{Name: "main", Image: "example.com/main"}}},
		}
		if _, err := l.Client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		waitUntilReady(ctx, t, l, name)
	}
	makeUnready(ctx, t, l, "broken", corev1.PodReady, corev1.ContainersReady)
	makeUnready(ctx, t, l, "ready", corev1.PodReady)
	waitUntilReady(ctx, t, l, "ready")
	broken, err := l.Client.CoreV1().Pods("default").Get(ctx, "broken", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if PodReady(broken) {
		t.Error("the pod whose containers are not ready is ready")
	}
}

func waitUntilReady(ctx context.Context, t *testing.T, l *Lab, name string) {
	t.Helper()
	err := Eventually(ctx, "pod "+name+" is ready", func(ctx context.Context) (string, error) {
		pod, err := l.Client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil || !PodReady(pod) {
			return "it is not", err
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// makeUnready sets conditions of a pod to False.
func makeUnready(ctx context.Context, t *testing.T, l *Lab, name string, conditions ...corev1.PodConditionType) {
	t.Helper()
	var status corev1.PodStatus
	for _, condition := range conditions {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionFalse, LastTransitionTime: metav1.Now()})
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": status.Conditions}})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := l.Client.CoreV1().Pods("default").Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	if PodReady(pod) {
		t.Fatalf("pod %s is ready after it was made unready", name)
	}
}

// kwok deletes by name: one that is late must not remove the successor of the pod that it has stopped.
func TestKubeletsRemoveOnlyWhatTerminates(t *testing.T) {
	l := Start(t, Options{Nodes: 1, Without: []string{Controller, Webhook, EverynodeScheduler}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kubelet := rest.CopyConfig(l.Config)
	kubelet.Impersonate = rest.ImpersonationConfig{UserName: "lab-kwok", Groups: []string{"system:masters"}}
	client, err := kubernetes.NewForConfig(kubelet)
	if err != nil {
		t.Fatal(err)
	}
	pods, now := l.Client.CoreV1().Pods("default"), int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "successor"},
		Spec:       corev1.PodSpec{NodeName: NodeName(0), Containers: []corev1.Container{{Name: "main", Image: "example.com/successor"}}},
	}
	err = Eventually(ctx, "a kubelet may not remove a pod that runs", func(ctx context.Context) (string, error) {
		if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return "", err
		}
		err := client.CoreV1().Pods("default").Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		if err == nil || !strings.Contains(err.Error(), "is not terminating") {
			return fmt.Sprintf("the answer is %v", err), nil // the policy is not effective yet
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Pods("default").Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Errorf("removing a pod that terminates: %v", err)
	}
}
