package placement

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Sampler chooses the daemons with whose pods the placer probes whether admission is effective. The API server
// may refuse a pod before placement, and a user may cause that for all pods of a namespace. So namespaces take
// turns, and in each its daemons; the daemon with the last answer comes first.
type Sampler struct {
	emitted func() map[string]map[string]func() *corev1.Pod // emitted pods, by namespace and name of their daemons

	mu        sync.Mutex
	namespace string               // the last one with a turn
	names     map[string]string    // the last daemon with a turn, by namespace
	answered  types.NamespacedName // the daemon with the last answer
}

// NewSampler chooses among emitted pods; emitted returns them by namespace and name of their daemons.
func NewSampler(emitted func() map[string]map[string]func() *corev1.Pod) *Sampler {
	return &Sampler{emitted: emitted, names: map[string]string{}}
}

// Samples returns emitted pods of this many daemons, or of fewer if there are no more.
func (s *Sampler) Samples(limit int) []*corev1.Pod {
	emitted := s.emitted()
	s.mu.Lock()
	defer s.mu.Unlock()
	var samples []*corev1.Pod
	take := func(namespace, name string) {
		samples = append(samples, emitted[namespace][name]())
		delete(emitted[namespace], name)
	}
	if _, there := emitted[s.answered.Namespace][s.answered.Name]; there && limit > 0 {
		take(s.answered.Namespace, s.answered.Name)
	}
	for len(samples) < limit {
		maps.DeleteFunc(emitted, func(_ string, daemons map[string]func() *corev1.Pod) bool { return len(daemons) == 0 })
		if len(emitted) == 0 {
			break
		}
		s.namespace = following(emitted, s.namespace)
		name := following(emitted[s.namespace], s.names[s.namespace])
		s.names[s.namespace] = name
		take(s.namespace, name)
	}
	return samples
}

// following returns the least key above last, else the least of all.
func following[V any](of map[string]V, last string) string {
	keys := slices.Sorted(maps.Keys(of))
	at, found := slices.BinarySearch(keys, last)
	if found {
		at++
	}
	return keys[at%len(keys)]
}

// Answered records the daemon whose pod was answered.
func (s *Sampler) Answered(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		s.answered = types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}
	}
}
