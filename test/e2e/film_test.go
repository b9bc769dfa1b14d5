package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// film records all events of an app's pods from a moment on.
type film struct {
	stage *stage
	query metav1.ListOptions
	watch watch.Interface
	done  chan struct{}

	mu     sync.Mutex
	events []watch.Event
	// live are the versions of the existing pods, as recorded so far.
	live map[types.UID]string
}

// film begins with the existing pods, as if they were created now.
func (s *stage) film(app string) *film {
	s.T.Helper()
	f := &film{
		stage: s, done: make(chan struct{}), live: map[types.UID]string{},
		query: metav1.ListOptions{LabelSelector: labels.Set{"app": app}.String()},
	}
	pods := s.API.CoreV1().Pods(labtest.Namespace)
	there, err := pods.List(s.T.Context(), f.query)
	s.Must(err)
	f.watch, err = watchtools.NewRetryWatcherWithContext(s.T.Context(), there.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = f.query.LabelSelector
			return pods.Watch(ctx, options)
		},
	})
	s.Must(err)
	for i := range there.Items {
		f.add(watch.Event{Type: watch.Added, Object: &there.Items[i]})
	}
	go func() {
		defer close(f.done)
		for event := range f.watch.ResultChan() {
			f.add(event)
		}
	}()
	return f
}

func (f *film) add(event watch.Event) {
	pod, ok := event.Object.(*corev1.Pod)
	if !ok {
		return // the watch ended, or cut was called
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
	if event.Type == watch.Deleted {
		delete(f.live, pod.UID)
	} else {
		f.live[pod.UID] = pod.ResourceVersion
	}
}

// cut ends the film once it has caught up with the cluster, and returns it.
func (f *film) cut() []watch.Event {
	f.stage.T.Helper()
	f.stage.Eventually("the film has caught up", func(ctx context.Context) (string, error) {
		there, err := f.stage.API.CoreV1().Pods(labtest.Namespace).List(ctx, f.query)
		if err != nil {
			return "", err
		}
		versions := map[types.UID]string{}
		for i := range there.Items {
			versions[there.Items[i].UID] = there.Items[i].ResourceVersion
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if !maps.Equal(versions, f.live) {
			return fmt.Sprintf("the cluster has %v, the film %v", versions, f.live), nil
		}
		return "", nil
	})
	f.watch.Stop()
	<-f.done
	return slices.Clone(f.events)
}

// leastServed returns the smallest number of nodes with a ready pod that was not terminating, at any time of a film.
func leastServed(events []watch.Event, nodes int) int {
	least, all := nodes, map[types.UID]*corev1.Pod{}
	complete := false
	for _, event := range events {
		pod := event.Object.(*corev1.Pod)
		if event.Type == watch.Deleted {
			delete(all, pod.UID)
		} else {
			all[pod.UID] = pod
		}
		served := map[string]bool{}
		for _, pod := range all {
			if lab.PodReady(pod) && pod.DeletionTimestamp == nil {
				served[pod.Spec.NodeName] = true
			}
		}
		// The initial pods are recorded one after the other.
		if complete = complete || len(served) == nodes; complete {
			least = min(least, len(served))
		}
	}
	return least
}

// story prints a film, one line for each event.
func story(events []watch.Event) string {
	var lines strings.Builder
	for _, event := range events {
		pod := event.Object.(*corev1.Pod)
		fmt.Fprintf(&lines, "%s %s %s (%.8s): %s, ready %t, terminating %t\n", event.Type, pod.ResourceVersion, pod.Name, pod.UID,
			pod.Status.Phase, lab.PodReady(pod), pod.DeletionTimestamp != nil)
	}
	return lines.String()
}

// last returns the last recorded version of each pod.
func last(events []watch.Event) map[types.UID]*corev1.Pod {
	pods := map[types.UID]*corev1.Pod{}
	for _, event := range events {
		pod := event.Object.(*corev1.Pod)
		pods[pod.UID] = pod
	}
	return pods
}
