package controller

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// trimNode keeps of a node what verdicts and pods depend on. Most of a node is its status,
// which changes every few seconds.
func trimNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels,
		},
		Spec: corev1.NodeSpec{Taints: node.Spec.Taints, Unschedulable: node.Spec.Unschedulable},
	}, nil
}

// trimPod keeps of a daemon's pod what a cell depends on, of a pod without controller the same,
// for a daemon may adopt it, and of any other pod its name alone.
func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	trimmed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}}
	if _, owned := daemon.OwnedByDaemon(pod); !owned && metav1.GetControllerOfNoCopy(pod) != nil {
		trimmed.OwnerReferences = []metav1.OwnerReference{*metav1.GetControllerOf(pod)}
		return trimmed, nil
	}
	trimmed.Labels, trimmed.OwnerReferences = pod.Labels, pod.OwnerReferences
	trimmed.CreationTimestamp, trimmed.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	for name, value := range pod.Annotations {
		if strings.HasPrefix(name, v1alpha1.GroupName+"/") {
			metav1.SetMetaDataAnnotation(&trimmed.ObjectMeta, name, value)
		}
	}
	trimmed.Spec.NodeName = pod.Spec.NodeName
	if pod.Spec.Affinity != nil {
		trimmed.Spec.Affinity = &corev1.Affinity{NodeAffinity: pod.Spec.Affinity.NodeAffinity}
	}
	trimmed.Status.Phase = pod.Status.Phase
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			trimmed.Status.Conditions = []corev1.PodCondition{{
				Type: condition.Type, Status: condition.Status, LastTransitionTime: condition.LastTransitionTime,
			}}
		}
	}
	return trimmed, nil
}
