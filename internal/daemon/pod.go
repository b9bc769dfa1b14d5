package daemon

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Template is the source of a daemon's pods. It is read-only.
type Template struct {
	Kind      Kind
	Owner     metav1.OwnerReference // the controller reference of every pod
	Namespace string
	Name      string // the daemon's name, the first part of its pods' names
	Revision  string // value of the label controller-revision-hash
	// Generation is the value of the label pod-template-generation, by which kube-controller-manager too
	// identifies the template of a pod; empty if the daemon's kind does not have it.
	Generation string
	Pod        corev1.PodTemplateSpec
}

// NewTemplate returns the template of a daemon with the given revision.
func NewTemplate(w *Workload, revision string) *Template {
	return &Template{
		Kind:       w.Kind,
		Owner:      w.OwnerReference(),
		Namespace:  w.Key.Namespace,
		Name:       w.Name,
		Revision:   revision,
		Generation: w.Kind.templateGeneration(w.Annotations),
		Pod:        *w.Template,
	}
}

// PodLabels returns the labels of every pod of the template. The controller sets two of them, whatever the
// template contains, so a selector that requires another value of one does not match.
func (t *Template) PodLabels() map[string]string {
	labels := t.recordLabels()
	if t.Generation != "" {
		labels[extensionsv1beta1.DaemonSetTemplateGenerationKey] = t.Generation
	}
	return labels
}

func (t *Template) recordLabels() map[string]string {
	labels := maps.Clone(t.Pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appsv1.ControllerRevisionHashLabelKey] = t.Revision
	return labels
}

// NewPod returns the pod that the controller emits for a node: it has spec.nodeName, and the gate that prevents
// it from being stored unless admission rewrites it (v1alpha1.PlacementGate). The rest is the template's, with
// the fields of every daemon pod: controller reference, revision label, tolerations, our scheduler, the node's
// incarnation.
func NewPod(template *Template, node *corev1.Node, name string) *corev1.Pod {
	annotations := maps.Clone(template.Pod.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.NodeUIDAnnotation] = string(node.UID)
	annotations[v1alpha1.DaemonPodAnnotation] = "true"

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			Namespace:       template.Namespace,
			Labels:          template.PodLabels(),
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

// Surge marks an emitted pod as one that may run beside a pod of another revision (S1).
func Surge(pod *corev1.Pod) {
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.SurgeAnnotation, "true")
}

// MayJoin reports whether a pod may run beside the only other pod of its daemon on its node: it was created for
// that, and they are of different revisions.
func MayJoin(pod, other *corev1.Pod) bool {
	return surges(pod) && revisionOf(pod) != revisionOf(other)
}

func surges(pod *corev1.Pod) bool { return pod.Annotations[v1alpha1.SurgeAnnotation] == "true" }
