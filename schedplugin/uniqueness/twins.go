package uniqueness

import (
	"fmt"
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// Indexes of the shared pod informer. Its store applies events in the order of their revisions, and a list in
// one step (client-go's AtomicFIFO): at any moment it holds the pods of one revision, and so every pod that was
// created before any pod in it and still exists. The scheduler's own cache lags behind it, and notifications of
// a list arrive one by one.
//
// waitingIndex has the pods that may still be bound, by cell: none in a steady state. placedIndex has daemons'
// bound pods, by node: one set entry each, whose text is the store's own.
const (
	waitingIndex = "everynode.dev/waiting"
	placedIndex  = "everynode.dev/placed"
)

// shards are the parts of a cell's waiting pods, by UID. They bound the cost of a lookup when tens of thousands
// of pods are created for one cell, because it ends with the first part that contains pods.
const shards = 64

// addIndexes adds the indexes once: the profiles of a process share the informer.
func addIndexes(pods cache.SharedIndexInformer) (added bool, err error) {
	if _, there := pods.GetIndexer().GetIndexers()[waitingIndex]; there {
		return false, nil
	}
	if err := pods.AddIndexers(cache.Indexers{waitingIndex: indexWaiting, placedIndex: indexPlaced}); err != nil {
		return false, fmt.Errorf("indexing pods by cell: %w", err)
	}
	return true, nil
}

func indexWaiting(object any) ([]string, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil, nil
	}
	key, waits := waiting(pod)
	if !waits {
		return nil, nil
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(pod.UID))
	return []string{shardOf(key, hash.Sum32()%shards)}, nil
}

// shardOf names a part of a cell's waiting pods. Names and UIDs contain no slash.
func shardOf(key daemon.CellKey, shard uint32) string {
	return key.Namespace + "/" + string(key.Owner) + "/" + key.Node + "/" + string(rune('a'+shard)) //nolint:gosec // G115: there are few shards
}

func indexPlaced(object any) ([]string, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return nil, nil
	}
	if _, owned := podfacts.Owner(pod); !owned {
		return nil, nil
	}
	return []string{pod.Spec.NodeName}, nil
}

// waiting returns the cell that a pod may still be bound in. The API server binds no pod that is being deleted
// (k8s.io/kubernetes pkg/registry/core/pod/storage), and the informer has no finished pods.
func waiting(pod *corev1.Pod) (daemon.CellKey, bool) {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return daemon.CellKey{}, false
	}
	return podfacts.KeyOf(pod)
}

// twins finds the other pods of a cell.
type twins struct{ pods cache.Indexer }

// waiting returns other pods that wait for a pod's cell: only a few, but at least two if there are two.
func (t *twins) waiting(pod *corev1.Pod, key daemon.CellKey) ([]*corev1.Pod, error) {
	var found []*corev1.Pod
	for shard := range uint32(shards) {
		objects, err := t.pods.ByIndex(waitingIndex, shardOf(key, shard))
		if err != nil {
			return nil, fmt.Errorf("finding pods that wait for the same cell: %w", err)
		}
		for _, object := range objects {
			if other, ok := object.(*corev1.Pod); ok && other.UID != pod.UID {
				found = append(found, other)
			}
			if len(found) > 1 {
				return found, nil
			}
		}
	}
	return found, nil
}

// placed returns other pods of a pod's cell that are bound to its node.
func (t *twins) placed(pod *corev1.Pod, key daemon.CellKey) ([]*corev1.Pod, error) {
	objects, err := t.pods.ByIndex(placedIndex, key.Node)
	if err != nil {
		return nil, fmt.Errorf("finding bound pods of the same cell: %w", err)
	}
	var found []*corev1.Pod
	for _, object := range objects {
		if other, ok := object.(*corev1.Pod); ok && other.UID != pod.UID && holds(other, key, key.Node) {
			found = append(found, other)
		}
	}
	return found, nil
}

// all returns other pods that occupy a pod's cell or wait for it. Waiting pods are looked up first, so that one
// that is bound in between is found among the bound ones.
func (t *twins) all(pod *corev1.Pod, key daemon.CellKey) ([]*corev1.Pod, error) {
	waiting, err := t.waiting(pod, key)
	if err != nil {
		return nil, err
	}
	placed, err := t.placed(pod, key)
	return union(placed, waiting), err
}

// union adds to pods those of others that it does not contain.
func union(pods, others []*corev1.Pod) []*corev1.Pod {
	for _, other := range others {
		if !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.UID == other.UID }) {
			pods = append(pods, other)
		}
	}
	return pods
}
