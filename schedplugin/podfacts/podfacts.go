// Package podfacts has what hints ask about a pod, in a time that does not depend on the pod.
//
// The scheduling queue asks the hints of every plugin about every pod that waits, for every event, under
// its lock. Whoever creates pods decides how large one is, and whoever creates a thousand of them how
// often a walk over one is multiplied. Pods of an ordinary size are read where they are; what is asked
// about a large one is found out once and kept for as long as the informer keeps the object.
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

// few is how many elements of a list are looked at each time.
const few = 16

// facts are those of a large pod. What they come from never changes in an object of an informer.
type facts struct {
	owner  types.UID // of the daemon that controls the pod
	owned  bool
	node   string // that the affinity pins the pod to
	pinned bool
	// reaches: see Reaches.
	reaches bool
}

// known are the facts of the large pods that there are.
var known sync.Map // of weak.Pointer[corev1.Pod] to facts

// KeyOf is daemon.CellOf.
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

// Target is daemon.Target.
func Target(pod *corev1.Pod) (node string, ok bool) {
	if !largeIdentity(pod) {
		return daemon.Target(pod)
	}
	of := factsOf(pod)
	return of.target(pod)
}

// Owner is the UID of the daemon that controls a pod (daemon.OwnedByDaemon).
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

// Reaches says whether a pod may keep others from other nodes than its own: it has required
// anti-affinity of another topology than the node's.
func Reaches(pod *corev1.Pod) bool {
	terms := fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity)
	if len(terms) > few {
		return factsOf(pod).reaches
	}
	return anyReaches(terms)
}

// anyReaches does not look through more than maxTerms: to reach further is the side to err on.
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

// largeIdentity says whether a pod has more of anything that its key is made of than is looked at each
// time.
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
