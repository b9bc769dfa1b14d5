package memory

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

var (
	owners     = []history.Resource{history.DaemonSets, history.NativeDaemonSets}
	dependents = []history.Resource{history.ControllerRevisions, history.Pods}
)

// Collect does one step of the garbage collector: it deletes an object whose owner does not exist, or goes on with the
// deletion of an owner that has its finalizer. It returns whether there was anything to do.
func (a *API) Collect() bool {
	for _, resource := range owners {
		for _, owner := range a.List(resource) {
			if owner.GetDeletionTimestamp() != nil && a.finalize(owner) {
				return true
			}
		}
	}
	for _, resource := range dependents {
		for _, object := range a.List(resource) {
			if owned := object.GetOwnerReferences(); len(owned) > 0 && object.GetDeletionTimestamp() == nil && !slices.ContainsFunc(owned, func(owner metav1.OwnerReference) bool { return a.exists(object.GetNamespace(), owner) }) {
				a.Delete(object, Background)
				return true
			}
		}
	}
	return false
}

// exists reports whether an owner exists. Owners of other kinds than DaemonSets always do.
func (a *API) exists(namespace string, owner metav1.OwnerReference) bool {
	if owner.Kind != "DaemonSet" {
		return true
	}
	for _, resource := range owners {
		if found := a.Get(resource, namespace, owner.Name); found != nil && found.GetUID() == owner.UID {
			return true
		}
	}
	return false
}

// finalize handles the next dependent of an owner, or removes the finalizer when there is none.
func (a *API) finalize(owner client.Object) bool {
	orphans := slices.Contains(owner.GetFinalizers(), metav1.FinalizerOrphanDependents)
	if !orphans && !slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		return false
	}
	waits := false
	for _, object := range a.owned(owner.GetNamespace(), owner.GetUID()) {
		switch {
		case orphans:
			a.Change(object, func(object client.Object) { disown(object, owner.GetUID()) })
			return true
		case object.GetDeletionTimestamp() == nil:
			a.Delete(object, Background)
			return true
		}
		waits = true
	}
	if waits {
		return false
	}
	a.Change(owner, func(object client.Object) {
		object.SetFinalizers(slices.DeleteFunc(object.GetFinalizers(), func(finalizer string) bool {
			return finalizer == metav1.FinalizerOrphanDependents || finalizer == metav1.FinalizerDeleteDependents
		}))
	})
	return true
}

// owned returns the objects that have an owner.
func (a *API) owned(namespace string, uid types.UID) (objects []client.Object) {
	for _, resource := range dependents {
		for _, object := range a.List(resource) {
			if object.GetNamespace() == namespace && slices.ContainsFunc(object.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == uid }) {
				objects = append(objects, object)
			}
		}
	}
	return objects
}

func disown(object client.Object, uid types.UID) {
	object.SetOwnerReferences(slices.DeleteFunc(object.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == uid }))
}
