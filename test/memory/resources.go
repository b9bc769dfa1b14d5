package memory

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// The resources beside those of package history.
const (
	Events               history.Resource = "events.events.k8s.io"
	Namespaces           history.Resource = "namespaces"
	PriorityClasses      history.Resource = "priorityclasses.scheduling.k8s.io"
	ResourceQuotas       history.Resource = "resourcequotas"
	PodDisruptionBudgets history.Resource = "poddisruptionbudgets.policy"
)

// ResourceOf returns the resource of an object.
func ResourceOf(object client.Object) history.Resource {
	switch object := object.(type) {
	case *corev1.Pod:
		return history.Pods
	case *corev1.Node:
		return history.Nodes
	case *v1alpha1.DaemonSet:
		return history.DaemonSets
	case *appsv1.DaemonSet:
		return history.NativeDaemonSets
	case *appsv1.ControllerRevision:
		return history.ControllerRevisions
	case *nodev1.RuntimeClass:
		return history.RuntimeClasses
	case *eventsv1.Event:
		return Events
	case *corev1.ConfigMap:
		return history.ConfigMaps
	case *corev1.Namespace:
		return Namespaces
	case *schedulingv1.PriorityClass:
		return PriorityClasses
	case *corev1.ResourceQuota:
		return ResourceQuotas
	case *policyv1.PodDisruptionBudget:
		return PodDisruptionBudgets
	case *metav1.PartialObjectMetadata:
		return resourceOfKind(object.GroupVersionKind().GroupKind())
	}
	panic(fmt.Sprintf("no resource has objects of type %T", object))
}

func resourceOfKind(kind schema.GroupKind) history.Resource {
	switch kind {
	case v1alpha1.DaemonSetKind.GroupKind():
		return history.DaemonSets
	case appsv1.SchemeGroupVersion.WithKind("DaemonSet").GroupKind():
		return history.NativeDaemonSets
	}
	panic(fmt.Sprintf("no resource has objects of kind %s", kind))
}

// groupResource is a resource in the form of errors.
func groupResource(resource history.Resource) schema.GroupResource {
	return schema.ParseGroupResource(string(resource))
}
