package podaffinity

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/schedplugin/podfacts"
)

// reachIndex is an index of the shared pod informer: one value with all pods that reach further than their
// node. The store keeps it consistent across relists, changes and missed deletions.
const reachIndex = "everynode.dev/reaching-anti-affinity"

// Pods count before they are bound. A pod enters the store before the scheduler queues it, so that an assumed
// pod (in the snapshot, its binding not yet observed) is never missed. If only bound pods counted, a pod of
// another profile of this process could be missed for a moment.
func indexReach(obj any) ([]string, error) {
	if pod, ok := obj.(*corev1.Pod); ok && podfacts.Reaches(pod) {
		return []string{"reaches"}, nil
	}
	return nil, nil
}

// addReachIndex adds the index once: the profiles of a process share the informer.
func addReachIndex(pods cache.SharedIndexInformer) error {
	if _, there := pods.GetIndexer().GetIndexers()[reachIndex]; there {
		return nil
	}
	if err := pods.AddIndexers(cache.Indexers{reachIndex: indexReach}); err != nil {
		return fmt.Errorf("indexing pods by the reach of their anti-affinity: %w", err)
	}
	return nil
}

// anyReaches reports whether any pod reaches further than its node, in constant time.
func (p *PodAffinity) anyReaches() bool { return len(p.pods.ListIndexFuncValues(reachIndex)) > 0 }
