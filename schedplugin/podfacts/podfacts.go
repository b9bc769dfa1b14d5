// Package podfacts provides the facts about a pod that hints need, in constant time.
//
// The scheduling queue calls the hints of every plugin for every waiting pod and every event, under its lock.
// Users who create pods decide how large they are, and how often a walk over one is multiplied. Pods of
// ordinary size are read directly; the facts of a large one are computed once and cached for as long as the
// informer keeps the object.
package podfacts

import (
	"runtime"
	"slices"
	"sync"
	"weak"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/everynode/everynode/internal/daemon"
)

// few is how many elements of a list are read each time.
const few = 16

// facts are those of a large pod. The fields they are derived from never change in an informer's object.
type facts struct {
	owner  types.UID // the UID of the daemon that controls the pod
	owned  bool
	node   string // the node that the affinity pins the pod to
	pinned bool
	// See Reaches.
	reaches bool
}

// known has the facts of all large pods.
var known sync.Map // weak.Pointer[corev1.Pod] to facts

// KeyOf is daemon.CellOf in constant time.
func KeyOf(pod *corev1.Pod) (daemon.CellKey, bool) {
	if !largeIdentity(pod) {
		return daemon.CellOf(pod)
	}
	of := factsOf(pod)
	node, ok := of.target(pod)
	if !of.owned || !ok {
		return daemon.CellKey{}, false
	}
	return daemon.CellKey{Namespace: pod.Namespace, Owner: of.owner, Node: node}, true
}

// Target is daemon.Target in constant time.
func Target(pod *corev1.Pod) (node string, ok bool) {
	if !largeIdentity(pod) {
		return daemon.Target(pod)
	}
	of := factsOf(pod)
	return of.target(pod)
}

// Owner returns the UID of the daemon that controls a pod (daemon.OwnedByDaemon).
func Owner(pod *corev1.Pod) (uid types.UID, owned bool) {
	if len(pod.OwnerReferences) > few {
		of := factsOf(pod)
		return of.owner, of.owned
	}
	owner, owned := daemon.OwnedByDaemon(pod)
	if !owned {
		return "", false
	}
	return owner.UID, true
}

// Reaches reports whether a pod may keep others from nodes other than its own: it has required anti-affinity of
// a topology other than the node's.
func Reaches(pod *corev1.Pod) bool {
	terms := fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity)
	if len(terms) > few {
		return factsOf(pod).reaches
	}
	return anyReaches(terms)
}

// anyReaches reads at most maxTerms terms, and errs towards true.
func anyReaches(terms []corev1.PodAffinityTerm) bool {
	const maxTerms = 1000
	return len(terms) > maxTerms || slices.ContainsFunc(terms, func(term corev1.PodAffinityTerm) bool {
		return term.TopologyKey != corev1.LabelHostname
	})
}

func (f *facts) target(pod *corev1.Pod) (node string, ok bool) {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName, true
	}
	return f.node, f.pinned
}

func factsOf(pod *corev1.Pod) facts {
	key := weak.Make(pod)
	if of, there := known.Load(key); there {
		return of.(facts)
	}
	var of facts
	if owner, owned := daemon.OwnedByDaemon(pod); owned {
		of.owner, of.owned = owner.UID, true
	}
	of.node, of.pinned = daemon.PinnedNode(&pod.Spec)
	of.reaches = anyReaches(fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity))
	if _, there := known.LoadOrStore(key, of); !there {
		runtime.AddCleanup(pod, func(key weak.Pointer[corev1.Pod]) { known.Delete(key) }, key)
	}
	return of
}

// largeIdentity reports whether any list that a pod's key is derived from is too long to be read each time.
func largeIdentity(pod *corev1.Pod) bool {
	return len(pod.OwnerReferences) > few || largeNodeAffinity(pod)
}

func largeNodeAffinity(pod *corev1.Pod) bool {
	affinity := pod.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	terms := affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(terms) > few {
		return true
	}
	for i := range terms {
		if len(terms[i].MatchFields) > few {
			return true
		}
	}
	return false
}
