package controller

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// seenPod is what the cache keeps of a pod, in place of the pod: there may be hundreds of
// thousands, and a corev1.Pod takes more than a kilobyte when it is empty. Of a pod that
// concerns no daemon of ours it is the name alone. It is immutable.
type seenPod struct {
	// ObjectMeta has what informers need (namespace, name, UID, resourceVersion), and the labels
	// of a pod that a selector is compared with.
	metav1.ObjectMeta

	cell     daemon.Key // of a pod of a daemon of ours
	ours     bool
	observed daemon.Pod // of a pod that is ours
	orphanOn string     // the node of a pod that a daemon may adopt: it has no controller and lives
}

// seePod takes from a pod what is kept.
func (w Workloads) seePod(pod *corev1.Pod) *seenPod {
	seen := &seenPod{ObjectMeta: metav1.ObjectMeta{
		Namespace: shared(pod.Namespace), Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}}
	seen.cell, seen.ours = w.cellOf(pod)
	switch {
	case seen.ours:
		seen.cell.Namespace, seen.cell.Owner, seen.cell.Node = seen.Namespace, types.UID(shared(string(seen.cell.Owner))), shared(seen.cell.Node)
		seen.observed = daemon.ObservePod(pod)
		seen.observed.Name, seen.observed.Revision, seen.observed.NodeUID = seen.Name, shared(seen.observed.Revision), types.UID(shared(string(seen.observed.NodeUID)))
	case metav1.GetControllerOfNoCopy(pod) == nil && pod.DeletionTimestamp == nil:
		seen.orphanOn, _ = daemon.Target(pod)
	}
	if seen.ours || seen.orphanOn != "" {
		for name, value := range pod.Labels {
			metav1.SetMetaDataLabel(&seen.ObjectMeta, shared(name), shared(value))
		}
	}
	return seen
}

// cellOf is the cell that a pod of a daemon of ours belongs to.
func (w Workloads) cellOf(pod *corev1.Pod) (daemon.Key, bool) {
	if !w.owns(pod) {
		return daemon.Key{}, false
	}
	return daemon.KeyOf(pod)
}

// trimPod is seePod as the transform of an informer.
func (w Workloads) trimPod(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		return w.seePod(pod), nil
	}
	return object, nil // seen already, or the note of a delete that was missed
}

// shared is a string that many pods have, kept once for all of them.
func shared(text string) string { return unique.Make(text).Value() }
