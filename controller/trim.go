package controller

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
	for name, value := range pod.Labels {
		metav1.SetMetaDataLabel(&trimmed.ObjectMeta, shared(name), shared(value))
	}
	for _, owner := range pod.OwnerReferences {
		owner.APIVersion, owner.Kind, owner.Name, owner.UID = shared(owner.APIVersion), shared(owner.Kind), shared(owner.Name), types.UID(shared(string(owner.UID)))
		trimmed.OwnerReferences = append(trimmed.OwnerReferences, owner)
	}
	trimmed.CreationTimestamp, trimmed.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	if uid, ok := pod.Annotations[v1alpha1.NodeUIDAnnotation]; ok {
		trimmed.Annotations = map[string]string{v1alpha1.NodeUIDAnnotation: shared(uid)}
	}
	trimmed.Spec.NodeName = shared(pod.Spec.NodeName)
	if pod.Spec.NodeName == "" && pod.Spec.Affinity != nil { // it says where the pod is to go
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

// shared is a string that many pods have, kept once for all of them.
func shared(text string) string { return unique.Make(text).Value() }
