package caches

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// TrimNode keeps the part of a node that verdicts and pods depend on. Most of a node is its status, which
// changes every few seconds.
func TrimNode(object any) (any, error) {
	var node *corev1.Node
	switch read := object.(type) {
	case *LeanNode:
		node = &read.Node
	case *corev1.Node: // of a list
		node = read
	default:
		return object, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels,
		},
		Spec:   corev1.NodeSpec{Taints: node.Spec.Taints, Unschedulable: node.Spec.Unschedulable},
		Status: daemon.TrimNodeStatus(&node.Status, model.NodeReads),
	}, nil
}

// TrimPod keeps the part of a pod that the model keeps.
func TrimPod(kinds model.Kinds) toolscache.TransformFunc {
	return func(object any) (any, error) {
		switch pod := object.(type) {
		case *LeanPod:
			return kinds.ObservePod(&pod.Pod), nil
		case *corev1.Pod: // of a list
			return kinds.ObservePod(pod), nil
		}
		return object, nil // observed already, or a tombstone
	}
}
