package bench

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
)

// sighting is when a watch has shown the states of a pod.
type sighting struct {
	name, node, image                string
	stored, bound, ready, ends, gone time.Time
}

// sightings are a DaemonSet's pods, as a watch shows them.
type sightings struct {
	stop func()

	mu     sync.Mutex
	pods   map[types.UID]*sighting // including deleted pods; random names may be reused
	alive  int
	ready  map[string]int // pods that are ready and not terminating, by image
	events int
}

// watchPods watches the pods with the label app=<name>. Its cost for the API server is the same for each side.
func (f *fleet) watchPods(name string) *sightings {
	f.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f.tb.Cleanup(cancel)
	pods := f.fast.CoreV1().Pods(metav1.NamespaceDefault)
	options := metav1.ListOptions{LabelSelector: "app=" + name}
	list, err := pods.List(ctx, options)
	f.Must(err)
	// It resumes when the API server ends a watch that is too slow.
	events, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, more metav1.ListOptions) (watch.Interface, error) {
			more.LabelSelector = options.LabelSelector
			return pods.Watch(ctx, more)
		},
	})
	f.Must(err)
	s := &sightings{stop: cancel, pods: map[types.UID]*sighting{}, ready: map[string]int{}}
	go func() {
		for event := range events.ResultChan() {
			if pod, isPod := event.Object.(*corev1.Pod); isPod {
				s.see(event.Type, pod, time.Now())
			}
		}
	}()
	return s
}

func (s *sightings) see(event watch.EventType, pod *corev1.Pod, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events++
	seen := s.pods[pod.UID]
	if seen == nil {
		node, _ := daemon.Target(pod)
		seen = &sighting{name: pod.Name, node: node, image: pod.Spec.Containers[0].Image, stored: now}
		s.pods[pod.UID] = seen
		s.alive++
	}
	if seen.bound.IsZero() && pod.Spec.NodeName != "" {
		seen.bound = now
	}
	if seen.ready.IsZero() && seen.ends.IsZero() && lab.PodReady(pod) {
		seen.ready = now
		s.ready[seen.image]++
	}
	if seen.ends.IsZero() && (event == watch.Deleted || pod.DeletionTimestamp != nil) && !seen.ready.IsZero() {
		s.ready[seen.image]--
	}
	if seen.ends.IsZero() && pod.DeletionTimestamp != nil {
		seen.ends = now
	}
	if event == watch.Deleted {
		if seen.gone = now; seen.ends.IsZero() {
			seen.ends = now
		}
		s.alive--
	}
}

// await waits until there are this many pods, all of them ready and of an image.
func (s *sightings) await(ctx context.Context, tb testing.TB, image string, want int) {
	tb.Helper()
	for ticker := time.NewTicker(5 * time.Millisecond); ; {
		s.mu.Lock()
		alive, ready := s.alive, s.ready[image]
		s.mu.Unlock()
		if alive == want && (ready == want || want == 0) {
			ticker.Stop()
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("there are %d pods, %d of them ready and of image %q, want %d: %v", alive, ready, image, want, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// of returns the pods of an image, in the order in which they were stored.
func (s *sightings) of(image string) []sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []sighting
	for _, seen := range s.pods {
		if seen.image == image {
			found = append(found, *seen)
		}
	}
	slices.SortFunc(found, func(a, b sighting) int { return a.stored.Compare(b.stored) })
	return found
}
