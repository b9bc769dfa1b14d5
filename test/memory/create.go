package memory

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// Create creates an object as another client would.
func (a *API) Create(object client.Object) (client.Object, error) { return a.create(object, false) }

// create admits, validates and stores an object, in the order of k8s.io/apiserver: a taken name is found last.
func (a *API) create(sent client.Object, dry bool) (client.Object, error) {
	resource, made := ResourceOf(sent), clone(sent)
	if err := a.admitNamespace(resource, made); err != nil {
		return nil, err
	}
	if pod, ok := made.(*corev1.Pod); ok {
		if err := a.admitClasses(pod); err != nil {
			return nil, err
		}
	}
	if a.Mutate != nil {
		if err := a.Mutate(made); err != nil {
			return nil, err
		}
	}
	prepare(made)
	if err := validateNew(made); err != nil {
		return nil, err
	}
	if err := a.admitQuota(resource, made, dry); err != nil {
		return nil, err
	}
	if _, there := a.objects[resource][client.ObjectKeyFromObject(made)]; there {
		return nil, apierrors.NewAlreadyExists(groupResource(resource), made.GetName())
	}
	a.identify(made)
	if !dry {
		a.store(resource, made, watch.Added)
	}
	return made, nil
}

// prepare does what the strategy of a resource does before a create.
func prepare(object client.Object) {
	if status := statusOf(object); status.IsValid() && ResourceOf(object) != history.Nodes {
		status.SetZero()
	}
	switch object := object.(type) {
	case *corev1.Pod:
		object.Status.Phase = corev1.PodPending
	case *appsv1.DaemonSet:
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, appsv1.DeprecatedTemplateGeneration, "1")
	}
}

// validateNew has the interlock: a pod may not have both spec.nodeName and a scheduling gate (k8s.io/kubernetes
// pkg/apis/core/validation ValidatePodCreate).
func validateNew(object client.Object) error {
	if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, pod.Name, field.ErrorList{
			field.Forbidden(field.NewPath("spec", "nodeName"), "cannot be set until all schedulingGates have been cleared"),
		})
	}
	return nil
}

// generate counts the generation of a DaemonSet whose spec changed, and of a native one also that of its template.
func generate(before, after client.Object) {
	resource := ResourceOf(after)
	if resource != history.DaemonSets && resource != history.NativeDaemonSets || equality.Semantic.DeepEqual(specOf(before), specOf(after)) {
		return
	}
	after.SetGeneration(before.GetGeneration() + 1)
	set, native := after.(*appsv1.DaemonSet)
	if former, ok := before.(*appsv1.DaemonSet); ok && native && !equality.Semantic.DeepEqual(former.Spec.Template, set.Spec.Template) {
		last, _ := strconv.Atoi(former.Annotations[appsv1.DeprecatedTemplateGeneration])
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, appsv1.DeprecatedTemplateGeneration, strconv.Itoa(last+1))
	}
}

func specOf(object client.Object) any {
	return reflect.ValueOf(object).Elem().FieldByName("Spec").Interface()
}

// statusOf returns the status of an object; it is not valid if there is none.
func statusOf(object client.Object) reflect.Value {
	return reflect.ValueOf(object).Elem().FieldByName("Status")
}

// Bind binds a pod to a node. The API server refuses that for a pod that is being deleted, is bound or has gates
// (k8s.io/kubernetes pkg/registry/core/pod/storage BindingREST).
func (a *API) Bind(user string, pod types.NamespacedName, uid types.UID, node string) error {
	request := &history.Request{User: user, Verb: "create", Resource: string(history.Pods), Subresource: "binding", Namespace: pod.Namespace, Name: pod.Name, UID: uid}
	return a.serve(request, func() error {
		stored, err := a.stored(history.Pods, pod)
		if err != nil {
			return err
		}
		next := clone(stored).(*corev1.Pod)
		switch {
		case next.UID != uid:
			return conflict(history.Pods, pod.Name, "the UID in the precondition does not match")
		case next.DeletionTimestamp != nil:
			return conflict(history.Pods, pod.Name, "pod is being deleted, cannot be assigned to a host")
		case next.Spec.NodeName != "":
			return conflict(history.Pods, pod.Name, fmt.Sprintf("pod is already assigned to node %q", next.Spec.NodeName))
		case len(next.Spec.SchedulingGates) > 0:
			return conflict(history.Pods, pod.Name, "pod has non-empty .spec.schedulingGates")
		}
		next.Spec.NodeName = node
		next.Status.Conditions = append(slices.Clone(next.Status.Conditions), corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(a.now()),
		})
		a.store(history.Pods, next, watch.Modified)
		return nil
	})
}

func conflict(resource history.Resource, name, why string) error {
	return apierrors.NewConflict(groupResource(resource), name, errors.New(why))
}
