package labtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// Witness watches every pod from its creation and records violations: a daemon's pod that was stored with
// spec.nodeName (S2), one that was bound to another node than its target (S2), and two bound pods of a daemon
// on a node at a time (S1), unless they are of two revisions and one of them was created to surge, or one had
// lost its owner. It also records creations and deletions of daemons' pods.
type Witness struct {
	watch watch.Interface
	kinds []schema.GroupVersionKind
	done  chan struct{}
	ended atomic.Bool

	mu      sync.Mutex
	seen    map[types.UID]struct{}
	created int
	deeds   []Deed
	ending  map[types.UID]struct{} // pods whose deletion is already recorded
	wrong   []string
	targets map[string]string                         // of a pod, by UID
	bound   map[daemon.CellKey]map[string]*corev1.Pod // the bound pods of a cell, by UID
	placeOf map[string]daemon.CellKey                 // the cell of a pod, by UID
	strays  map[string]struct{}                       // pods that were without their daemon as owner, by UID
}

// Watch starts a witness of the pods of these kinds of daemons, or of all; Verdict ends it.
func (c *Cluster) Watch(kinds ...schema.GroupVersionKind) *Witness {
	c.T.Helper()
	var pods corev1.PodList
	c.Must(c.List(c.T.Context(), &pods))
	// The API server ends a watch whose client is slow for a moment; this one resumes.
	events, err := watchtools.NewRetryWatcherWithContext(context.Background(), pods.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return c.API.CoreV1().Pods(metav1.NamespaceAll).Watch(ctx, options)
		},
	})
	c.Must(err)
	w := &Witness{
		watch: events, kinds: kinds, done: make(chan struct{}), seen: map[types.UID]struct{}{}, ending: map[types.UID]struct{}{},
		targets: map[string]string{}, bound: map[daemon.CellKey]map[string]*corev1.Pod{}, placeOf: map[string]daemon.CellKey{}, strays: map[string]struct{}{},
	}
	for i := range pods.Items {
		w.note(watch.Modified, &pods.Items[i])
	}
	go func() {
		defer close(w.done)
		for event := range events.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				w.note(event.Type, pod)
			} else if !w.ended.Load() { // after Stop the last event may be incomplete
				w.fail("the watch ended: %v", event.Object)
			}
		}
	}()
	return w
}

func (w *Witness) note(event watch.EventType, pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[pod.UID] = struct{}{}
	uid := string(pod.UID)
	delete(w.bound[w.placeOf[uid]], uid) // it may have lost its owner
	owner, ours := daemon.OwnedByDaemon(pod)
	if !ours || !w.observes(owner) {
		w.strays[uid] = struct{}{}
		return
	}
	w.noteDeed(event, owner.UID, pod)
	if event == watch.Added {
		w.created++
		if pod.Spec.NodeName != "" {
			w.failLocked("S2: pod %s was stored with spec.nodeName %s", pod.Name, pod.Spec.NodeName)
		}
		w.targets[uid], _ = daemon.Target(pod)
	}
	if target := w.targets[uid]; target != "" && pod.Spec.NodeName != "" && pod.Spec.NodeName != target {
		w.failLocked("S2: pod %s was created for %s and is on %s", pod.Name, target, pod.Spec.NodeName)
	}
	key, _ := daemon.CellOf(pod)
	holders := w.bound[key]
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	// A pod that had no owner for a while has a successor, beside which it may be adopted again: no controller can prevent that.
	if _, stray := w.strays[uid]; stray || event == watch.Deleted || finished || pod.Spec.NodeName == "" {
		return
	}
	if holders == nil {
		holders = map[string]*corev1.Pod{}
		w.bound[key] = holders
	}
	holders[uid], w.placeOf[uid] = pod, key
	if len(holders) > 1 && !surging(slices.Collect(maps.Values(holders))) {
		w.failLocked("S1: %d pods of one daemon are bound to node %s, pod %s among them", len(holders), key.Node, pod.Name)
	}
}

// observes reports whether the witness observes the pods of an owner.
func (w *Witness) observes(owner *metav1.OwnerReference) bool {
	return len(w.kinds) == 0 || slices.Contains(w.kinds, schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind))
}

// surging reports whether two pods may run beside each other.
func surging(pods []*corev1.Pod) bool {
	return len(pods) == 2 && (mayJoin(pods[0], pods[1]) || mayJoin(pods[1], pods[0]))
}

// mayJoin also accepts pods that kube-controller-manager creates to surge, which carry no mark.
func mayJoin(pod, other *corev1.Pod) bool {
	if _, everynodes := pod.Annotations[v1alpha1.NodeUIDAnnotation]; everynodes || pod.CreationTimestamp.Before(&other.CreationTimestamp) {
		return daemon.MayJoin(pod, other)
	}
	return pod.Labels[appsv1.ControllerRevisionHashLabelKey] != other.Labels[appsv1.ControllerRevisionHashLabelKey]
}

// Deed is the creation or the requested deletion of a daemon's pod.
type Deed struct {
	Daemon types.UID
	Pod    string
	Made   bool
}

func (w *Witness) noteDeed(event watch.EventType, by types.UID, pod *corev1.Pod) {
	if event == watch.Added {
		w.deeds = append(w.deeds, Deed{by, pod.Name, true})
	}
	if _, known := w.ending[pod.UID]; !known && (event == watch.Deleted || pod.DeletionTimestamp != nil) {
		w.ending[pod.UID] = struct{}{}
		w.deeds = append(w.deeds, Deed{by, pod.Name, false})
	}
}

// Mark returns the current position for Since.
func (c *Cluster) Mark(w *Witness) int {
	c.T.Helper()
	w.catchUp(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.deeds)
}

// Since returns the deeds since a mark.
func (c *Cluster) Since(w *Witness, mark int) []Deed {
	c.T.Helper()
	w.catchUp(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.deeds[mark:])
}

// Bound returns how many pods of daemons have ever been bound.
func (c *Cluster) Bound(w *Witness) int {
	c.T.Helper()
	w.catchUp(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.placeOf)
}

func (w *Witness) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(format, args...)
}

func (w *Witness) failLocked(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// catchUp waits until the witness has seen all events up to now: it creates a pod and waits until the witness
// sees it.
func (w *Witness) catchUp(c *Cluster) {
	c.T.Helper()
	sentinel := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, GenerateName: "witness-"},
		Spec: corev1.PodSpec{
			SchedulerName: "nobody", Containers: []corev1.Container{{Name: "main", Image: "example.com/witness"}},
		},
	}
	c.Make(sentinel)
	c.Eventually("the witness has caught up", func(context.Context) (string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, seen := w.seen[sentinel.UID]; !seen {
			return fmt.Sprintf("it saw %d other pods; %v", len(w.seen), w.wrong), nil
		}
		return "", nil
	})
}

// Verdict ends the witness and fails the test for every violation, and if it saw fewer than atLeast creations
// of daemon pods: a witness that saw nothing proves nothing.
func (c *Cluster) Verdict(w *Witness, atLeast int) {
	c.T.Helper()
	w.catchUp(c)
	w.ended.Store(true)
	w.watch.Stop()
	<-w.done
	for _, wrong := range w.wrong {
		c.T.Error(wrong)
	}
	if w.created < atLeast {
		c.T.Errorf("the witness saw %d daemon pods being created, want at least %d", w.created, atLeast)
	}
}
