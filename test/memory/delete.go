package memory

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// Propagation is what a deletion does to the objects that the deleted one owns.
type Propagation int

const (
	// Background deletes them afterwards.
	Background Propagation = iota
	// Foreground deletes them first.
	Foreground
	// Orphan leaves them without an owner.
	Orphan
)

// finalizers of the garbage collector.
var finalizerOf = map[Propagation]string{Foreground: metav1.FinalizerDeleteDependents, Orphan: metav1.FinalizerOrphanDependents}

// Delete deletes an object as another client would, without preconditions.
func (a *API) Delete(object client.Object, how Propagation) {
	_ = a.delete(ResourceOf(object), client.ObjectKeyFromObject(object), "", "", how) // it may be gone
}

// Finish deletes a pod without a grace period, as a kubelet does when its containers have ended.
func (a *API) Finish(pod *corev1.Pod) {
	a.Change(pod, func(object client.Object) { a.terminate(object.(*corev1.Pod), 0) })
}

// delete deletes an object. A pod that was bound and runs is terminating until Finish.
func (a *API) delete(resource history.Resource, key types.NamespacedName, uid types.UID, version string, how Propagation) error {
	stored, err := a.stored(resource, key)
	if err != nil {
		return err
	}
	if err := match(resource, stored, uid, version); err != nil {
		return err
	}
	next := clone(stored)
	switch pod, ok := next.(*corev1.Pod); {
	case ok && pod.Spec.NodeName != "" && !finished(pod):
		if pod.DeletionTimestamp == nil {
			a.terminate(pod, corev1.DefaultTerminationGracePeriodSeconds)
			a.store(resource, pod, watch.Modified)
		}
		return nil
	case finalizerOf[how] != "":
		next.SetFinalizers(append(slices.Clone(next.GetFinalizers()), finalizerOf[how]))
	}
	if len(next.GetFinalizers()) == 0 {
		a.remove(resource, next)
		return nil
	}
	if next.GetDeletionTimestamp() == nil {
		now, none := metav1.NewTime(a.now()), int64(0)
		next.SetDeletionTimestamp(&now)
		next.SetDeletionGracePeriodSeconds(&none)
	}
	a.store(resource, next, watch.Modified)
	return nil
}

func (a *API) terminate(pod *corev1.Pod, grace int64) {
	if pod.DeletionTimestamp == nil {
		now := metav1.NewTime(a.now())
		pod.DeletionTimestamp = &now
	}
	pod.DeletionGracePeriodSeconds = &grace
}

// match compares an object with preconditions, as far as there are any.
func match(resource history.Resource, stored client.Object, uid types.UID, version string) error {
	switch {
	case uid != "" && uid != stored.GetUID():
		return conflict(resource, stored.GetName(), "the UID in the precondition does not match")
	case version != "" && version != stored.GetResourceVersion():
		return conflict(resource, stored.GetName(), "the object has been modified")
	}
	return nil
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}
