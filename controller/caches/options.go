package caches

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	selectors "k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// Options reduce the objects in the manager's cache to the parts that the controller reads.
func (c *Caches) Options() cache.Options {
	options := cache.Options{
		NewInformer:                 c.newInformer,
		Scheme:                      cacheScheme,
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&LeanNode{}:                  {Transform: TrimNode},
			&LeanPod{}:                   {Transform: TrimPod(c.kinds)},
			&appsv1.ControllerRevision{}: {Transform: c.kinds.TrimRevision},

			&policyv1.PodDisruptionBudget{}: {Transform: TrimBudget},
			// The controller may read no other ConfigMap.
			&corev1.ConfigMap{}: {Transform: TrimStop, Namespaces: map[string]cache.Config{
				v1alpha1.SystemNamespace: {FieldSelector: selectors.OneTermEqualSelector("metadata.name", v1alpha1.StopName)},
			}},
		},
	}
	for _, object := range daemonSets(c.kinds) {
		options.ByObject[object] = cache.ByObject{Transform: TrimSet}
	}
	return options
}

// daemonSets returns the kinds to watch.
func daemonSets(k model.Kinds) []client.Object {
	var objects []client.Object
	if k.Everynode {
		objects = append(objects, &ReadSet{})
	}
	if k.Apps {
		objects = append(objects, &appsv1.DaemonSet{})
	}
	return objects
}

// Watched returns the kinds that have a cache, by the types that they are decoded into.
func Watched(k model.Kinds) []client.Object {
	watched := daemonSets(k)
	if k.Everynode { // apps/v1 ignores them
		watched = append(watched, &nodev1.RuntimeClass{})
	}
	return append(watched, &LeanPod{}, &LeanNode{}, &appsv1.ControllerRevision{}, &corev1.Namespace{}, &corev1.ResourceQuota{}, &schedulingv1.PriorityClass{})
}

// TrimBudget keeps the part of a budget that BudgetForm depends on, and only the name of one that works.
func TrimBudget(object any) (any, error) {
	budget, ok := object.(*policyv1.PodDisruptionBudget)
	if !ok {
		return object, nil
	}
	trimmed := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{
		Namespace: budget.Namespace, Name: budget.Name, UID: budget.UID, ResourceVersion: budget.ResourceVersion,
	}}
	if daemon.BudgetForm(budget) != "" {
		trimmed.Spec = budget.Spec
		trimmed.Status.Conditions = []metav1.Condition{*meta.FindStatusCondition(budget.Status.Conditions, policyv1.DisruptionAllowedCondition)}
	}
	return trimmed, nil
}

// TrimStop keeps the part of a ConfigMap that the emergency stop depends on.
func TrimStop(object any) (any, error) {
	read, ok := object.(*corev1.ConfigMap)
	if !ok {
		return object, nil
	}
	trimmed := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: read.Namespace, Name: read.Name, UID: read.UID, ResourceVersion: read.ResourceVersion,
	}}
	if stop := daemon.NewStop(read.Data); stop.On {
		trimmed.Data = map[string]string{v1alpha1.StopKey: "true", v1alpha1.StopReasonKey: stop.Reason}
	}
	return trimmed, nil
}

// Trim applies the transform of an object's kind.
func Trim(kinds model.Kinds, object client.Object) (any, error) {
	switch object := object.(type) {
	case *corev1.Pod:
		return TrimPod(kinds)(object)
	case *corev1.Node:
		return TrimNode(object)
	case *v1alpha1.DaemonSet:
		return TrimSet(&ReadSet{DaemonSet: *object})
	case *appsv1.DaemonSet:
		return TrimSet(object)
	case *appsv1.ControllerRevision:
		return kinds.TrimRevision(object)
	case *policyv1.PodDisruptionBudget:
		return TrimBudget(object)
	case *corev1.ConfigMap:
		return TrimStop(object)
	}
	return object, nil
}
