package labtest

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The kinds of DaemonSet of a workload.
var (
	Everynode = v1alpha1.DaemonSetKind
	Apps      = appsv1.SchemeGroupVersion.WithKind("DaemonSet")
)

// Workload is a DaemonSet of either kind, as last read. It is stored as one of everynode.dev, which differs
// only in apiVersion.
type Workload struct {
	v1alpha1.DaemonSet
	Kind schema.GroupVersionKind
}

// MakeWorkload creates set as a DaemonSet of a kind, and deletes it when the test ends.
func (c *Cluster) MakeWorkload(kind schema.GroupVersionKind, set *v1alpha1.DaemonSet) *Workload {
	c.T.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(set)
	c.Must(err)
	delete(fields, "status")
	object := &unstructured.Unstructured{Object: fields}
	object.SetGroupVersionKind(kind)
	c.Make(object)
	w := &Workload{Kind: kind}
	c.Must(w.take(object))
	return w
}

// take replaces a workload with the object that was read.
func (w *Workload) take(object *unstructured.Unstructured) error {
	w.DaemonSet = v1alpha1.DaemonSet{} // clears fields that are not set any more
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &w.DaemonSet)
}

func (w *Workload) object() *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(w.Kind)
	object.SetNamespace(w.Namespace)
	object.SetName(w.Name)
	return object
}

// DeleteWorkload deletes a workload with its pods, and waits until it is gone.
func (c *Cluster) DeleteWorkload(w *Workload) {
	c.T.Helper()
	c.Must(c.Delete(c.T.Context(), w.object(), client.PropagationPolicy(metav1.DeletePropagationForeground)))
	c.Eventually("DaemonSet "+w.Name+" is gone", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(w.object()), w.object()); !apierrors.IsNotFound(err) {
			return "it still exists", err
		}
		return "", nil
	})
}

// ReadWorkload reads a workload again.
func (c *Cluster) ReadWorkload(ctx context.Context, w *Workload) error {
	object := w.object()
	if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return err
	}
	return w.take(object)
}

// ChangeWorkload changes a workload.
func (c *Cluster) ChangeWorkload(w *Workload, mutate func(*v1alpha1.DaemonSet)) {
	c.T.Helper()
	c.Must(c.TryChange(w, mutate))
}

// TryChange changes a workload, and returns the API server's refusal.
func (c *Cluster) TryChange(w *Workload, mutate func(*v1alpha1.DaemonSet)) error {
	c.T.Helper()
	c.Must(c.ReadWorkload(c.T.Context(), w))
	changed := w.DeepCopy()
	mutate(changed)
	patch, err := client.MergeFrom(&w.DaemonSet).Data(changed)
	c.Must(err)
	object := w.object()
	if err := c.Patch(c.T.Context(), object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return err
	}
	return w.take(object)
}

// WaitForWorkload waits until a condition holds for a workload's status of its current generation.
func (c *Cluster) WaitForWorkload(w *Workload, what string, holds func(*v1alpha1.DaemonSetStatus) bool) {
	c.T.Helper()
	c.Eventually("the status of "+w.Name+" shows "+what, func(ctx context.Context) (string, error) {
		if err := c.ReadWorkload(ctx, w); err != nil {
			return "", err
		}
		if w.Status.ObservedGeneration != w.Generation || !holds(&w.Status) {
			return fmt.Sprintf("generation %d, %+v", w.Generation, w.Status), nil
		}
		return "", nil
	})
}

// RevisionsOf lists the ControllerRevisions that a workload controls, sorted by number.
func (c *Cluster) RevisionsOf(ctx context.Context, w *Workload) ([]appsv1.ControllerRevision, error) {
	var list appsv1.ControllerRevisionList
	if err := c.List(ctx, &list, client.InNamespace(w.Namespace)); err != nil {
		return nil, err
	}
	owned := slices.DeleteFunc(list.Items, func(object appsv1.ControllerRevision) bool { return !metav1.IsControlledBy(&object, w) })
	slices.SortFunc(owned, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return owned, nil
}
