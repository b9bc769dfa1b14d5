package e2e

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func TestLeastServed(t *testing.T) {
	event := func(kind watch.EventType, uid, node string, mutators ...func(*corev1.Pod)) watch.Event {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}, Spec: corev1.PodSpec{NodeName: node}}
		for _, mutate := range mutators {
			mutate(pod)
		}
		return watch.Event{Type: kind, Object: pod}
	}
	ready := func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	ends := func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{} }
	there := []watch.Event{event(watch.Added, "1", "a", ready), event(watch.Added, "2", "b", ready)}
	for name, test := range map[string]struct {
		then []watch.Event
		want int
	}{
		"nothing happens":           {nil, 2},
		"one ends":                  {[]watch.Event{event(watch.Modified, "1", "a", ready, ends)}, 1},
		"one is not ready":          {[]watch.Event{event(watch.Modified, "1", "a")}, 1},
		"one vanishes":              {[]watch.Event{event(watch.Deleted, "2", "b", ready)}, 1},
		"both, one after the other": {[]watch.Event{event(watch.Modified, "1", "a"), event(watch.Modified, "1", "a", ready), event(watch.Modified, "2", "b")}, 1},
		"both at the same time":     {[]watch.Event{event(watch.Modified, "1", "a"), event(watch.Modified, "2", "b")}, 0},
		"another one first":         {[]watch.Event{event(watch.Added, "3", "a", ready), event(watch.Modified, "1", "a", ready, ends), event(watch.Deleted, "1", "a")}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := leastServed(slices.Concat(there, test.then), 2); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
