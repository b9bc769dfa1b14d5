package daemon

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Template is what a daemon's pods are made from. It is read only.
type Template struct {
	Owner     metav1.OwnerReference // the controller reference of every pod
	Namespace string
	Name      string // the daemon's name, the first part of its pods' names
	Revision  string // value of the label controller-revision-hash
	Pod       corev1.PodTemplateSpec
}

// NewPod is the pod that the controller emits for a node and a slot: it asks for its node by
// spec.nodeName and carries the gate that keeps it from being stored unless admission rewrites
// it (v1alpha1.PlacementGate). Everything else is as the template says, with what every daemon
// pod gets: controller reference, revision label, tolerations, our scheduler, the node's
// incarnation.
func NewPod(template *Template, node *corev1.Node, slot int) *corev1.Pod {
	labels := maps.Clone(template.Pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appsv1.ControllerRevisionHashLabelKey] = template.Revision
	annotations := maps.Clone(template.Pod.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.NodeUIDAnnotation] = string(node.UID)
	annotations[v1alpha1.DaemonPodAnnotation] = "true"

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            PodName(template.Name, node.Name, slot),
			Namespace:       template.Namespace,
			Labels:          labels,
			Annotations:     annotations,
			Finalizers:      append([]string(nil), template.Pod.Finalizers...),
			OwnerReferences: []metav1.OwnerReference{template.Owner},
		},
		Spec: *template.Pod.Spec.DeepCopy(),
	}
	pod.Spec.NodeName = node.Name
	pod.Spec.SchedulerName = v1alpha1.SchedulerName
	pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.PlacementGate})
	AddTolerations(&pod.Spec)
	return pod
}

// Surge marks an emitted pod as one that may stand beside a pod of another revision (S1).
func Surge(pod *corev1.Pod) {
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.SurgeAnnotation, "true")
}

// MayJoin says whether a pod may stand beside the one other pod that its daemon has on its node:
// it was made to, and they are of different revisions.
func MayJoin(pod, other *corev1.Pod) bool {
	return pod.Annotations[v1alpha1.SurgeAnnotation] == "true" && revisionOf(pod) != revisionOf(other)
}
