package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// makers counts the pods of DaemonSets of apps/v1 by the client that created them.
type makers struct {
	mu    sync.Mutex
	count map[string]int
}

// countMakers counts new pods, not existing ones, until ctx ends.
func countMakers(ctx context.Context, config *rest.Config) (*makers, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	m := &makers{count: map[string]int{}}
	factory := informers.NewSharedInformerFactory(client, 0)
	handler := cache.ResourceEventHandlerDetailedFuncs{AddFunc: m.add}
	if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(handler); err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	for _, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, context.Cause(ctx)
		}
	}
	return m, nil
}

func (m *makers) add(object any, wasThere bool) {
	pod, ok := object.(*corev1.Pod)
	if !ok || wasThere {
		return
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "DaemonSet" || !strings.HasPrefix(owner.APIVersion, "apps/") {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count[maker(pod)]++
}

// maker returns the first manager of fields outside of the pod's status, which is its creator. The API server
// derives the name from the client's user agent.
func maker(pod *corev1.Pod) string {
	for _, entry := range pod.ManagedFields {
		if entry.Subresource == "" {
			return entry.Manager
		}
	}
	return "an unknown client"
}

func (m *makers) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.count))
}

// String is, for instance, "everynode-controller (57)".
func (m *makers) String() string {
	names := m.names()
	if len(names) == 0 {
		return "nobody"
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", name, m.count[name])
	}
	return strings.Join(names, ", ")
}
