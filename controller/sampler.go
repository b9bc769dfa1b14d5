package controller

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// sampler chooses the daemons by whose pods the placer asks whether admission is effective. The API server
// may refuse a pod before it comes to that, and somebody may see to it that it refuses all pods of a
// namespace. So namespaces take turns, and in each its daemons; and who had an answer is asked again first.
type sampler struct {
	world *state

	mu        sync.Mutex
	namespace string               // the last one that had its turn
	names     map[string]string    // the last daemon that had its turn, by namespace
	answered  types.NamespacedName // the daemon that had the last answer
}

func newSampler(world *state) *sampler { return &sampler{world: world, names: map[string]string{}} }

// samples are pods as they are emitted, of as many daemons, or fewer when there are no more.
func (s *sampler) samples(limit int) []*corev1.Pod {
	emitted := s.world.emitted()
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

// following is the least key above last, else the least of all.
func following[V any](of map[string]V, last string) string {
	keys := slices.Sorted(maps.Keys(of))
	at, found := slices.BinarySearch(keys, last)
	if found {
		at++
	}
	return keys[at%len(keys)]
}

// answer notes whose pod was answered.
func (s *sampler) answer(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		s.answered = types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}
	}
}

// emittedPods collects functions that make pods as they are emitted, for any node, by namespace and name of their
// daemons. Our own namespace, which admission leaves out, has none.
func emittedPods(into map[string]map[string]func() *corev1.Pod) work {
	return &eachDaemon{f: func(u update, key DaemonKey, known *workload) {
		first, some := u.nodeNames.Min()
		if !some || !known.keptUp() || key.Namespace == v1alpha1.SystemNamespace {
			return
		}
		if into[key.Namespace] == nil {
			into[key.Namespace] = map[string]func() *corev1.Pod{}
		}
		template, node := known.template, u.nodes[first]
		into[key.Namespace][known.object.Name] = func() *corev1.Pod {
			return plain(daemon.NewPod(template, node, template.PodName(node.Name, "sample", false)))
		}
	}}
}

// plain is an emitted pod without what admission of others may refuse before placement is admitted: a
// service account, a priority or a runtime class that does not exist.
func plain(pod *corev1.Pod) *corev1.Pod {
	pod.Spec = corev1.PodSpec{
		NodeName: pod.Spec.NodeName, SchedulingGates: pod.Spec.SchedulingGates, SchedulerName: pod.Spec.SchedulerName,
		AutomountServiceAccountToken: new(bool),
		Containers:                   []corev1.Container{{Name: "probe", Image: "everynode.dev/never-run"}},
	}
	return pod
}
