package memory

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// The refusals have the texts of k8s.io/apiserver and k8s.io/kubernetes plugin/pkg/admission.

func forbidden(object client.Object, format string, args ...any) error {
	return apierrors.NewForbidden(groupResource(ResourceOf(object)), object.GetName(), fmt.Errorf(format, args...))
}

// admitNamespace is the admission plugin NamespaceLifecycle.
func (a *API) admitNamespace(resource history.Resource, object client.Object) error {
	if object.GetNamespace() == "" {
		return nil
	}
	namespace, there := a.Get(Namespaces, "", object.GetNamespace()).(*corev1.Namespace)
	if !there {
		return apierrors.NewNotFound(groupResource(Namespaces), object.GetNamespace())
	}
	if namespace.DeletionTimestamp != nil {
		err := apierrors.NewForbidden(groupResource(resource), object.GetName(), errors.New("unable to create new content in namespace "+namespace.Name+" because it is being terminated"))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
		return err
	}
	return nil
}

// admitClasses are the admission plugins Priority and RuntimeClass.
func (a *API) admitClasses(pod *corev1.Pod) error {
	if name := pod.Spec.PriorityClassName; name != "" {
		class, there := a.Get(PriorityClasses, "", name).(*schedulingv1.PriorityClass)
		if !there {
			return forbidden(pod, "no PriorityClass with name %s was found", name)
		}
		pod.Spec.Priority = &class.Value
	}
	if pod.Spec.RuntimeClassName == nil {
		return nil
	}
	class, there := a.Get(history.RuntimeClasses, "", *pod.Spec.RuntimeClassName).(*nodev1.RuntimeClass)
	if !there {
		return forbidden(pod, "pod rejected: RuntimeClass %q not found", *pod.Spec.RuntimeClassName)
	}
	return mergeScheduling(pod, class.Scheduling)
}

func mergeScheduling(pod *corev1.Pod, scheduling *nodev1.Scheduling) error {
	if scheduling == nil {
		return nil
	}
	selector := maps.Clone(pod.Spec.NodeSelector)
	if selector == nil && len(scheduling.NodeSelector) > 0 {
		selector = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(scheduling.NodeSelector)) {
		if own, has := selector[key]; has && own != scheduling.NodeSelector[key] {
			return forbidden(pod, "conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, scheduling.NodeSelector[key], key, own)
		}
		selector[key] = scheduling.NodeSelector[key]
	}
	pod.Spec.NodeSelector = selector
	pod.Spec.Tolerations = append(slices.Clone(pod.Spec.Tolerations), scheduling.Tolerations...)
	return nil
}
