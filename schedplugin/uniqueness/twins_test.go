package uniqueness

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientfeatures "k8s.io/client-go/features"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/internal/schedtest"
)

// knowing returns a plugin whose informer holds pods.
func knowing(tb testing.TB, pods ...*schedtest.Pod) *Uniqueness {
	tb.Helper()
	unique := plugin()
	for _, pod := range pods {
		if err := unique.twins.pods.Add(pod.Obj()); err != nil {
			tb.Fatal(err)
		}
	}
	return unique
}

// Of several pods of a cell that another scheduler may be about to bind none passes and none is preempted, whichever
// was created first and whatever their priorities. Pods that can no longer be bound do not count.
func TestPendingTwins(t *testing.T) {
	pending := func(name string) *fwk.Status {
		return refused("pod " + name + " of the same DaemonSet is pending for this node too; waiting until one of them is deleted")
	}
	surge := func(name, revision string) *schedtest.Pod { return schedtest.MakePod(name).Revision(revision).Surge() }
	tests := map[string]struct {
		pod   *schedtest.Pod   // defaults to schedtest.MakePod("p")
		known []*schedtest.Pod // to the informer
		node  []*schedtest.Pod // in the snapshot
		want  *fwk.Status
	}{
		"alone":                                {},
		"itself":                               {known: []*schedtest.Pod{schedtest.MakePod("p")}},
		"a twin":                               {known: []*schedtest.Pod{schedtest.MakePod("p"), schedtest.MakePod("t")}, want: pending("t")},
		"a twin of lower priority":             {known: []*schedtest.Pod{schedtest.MakePod("t").Priority(1)}, want: pending("t")},
		"a twin of higher priority":            {known: []*schedtest.Pod{schedtest.MakePod("t").Priority(1000)}, want: pending("t")},
		"a twin that is assumed":               {known: []*schedtest.Pod{schedtest.MakePod("t")}, node: []*schedtest.Pod{schedtest.Twin("t")}, want: pending("t")},
		"beside a bound one of lower priority": {known: []*schedtest.Pod{schedtest.MakePod("t")}, node: []*schedtest.Pod{schedtest.Twin("u").Priority(1)}, want: pending("t")},
		"one that is terminating":              {known: []*schedtest.Pod{schedtest.MakePod("t").Terminating()}},
		"another daemon's":                     {known: []*schedtest.Pod{schedtest.MakePod("t").Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e"))}},
		"another node's":                       {known: []*schedtest.Pod{schedtest.MakePod("t").Affinity(schedtest.Required(schedtest.Pinned("n2")))}},
		"another namespace's":                  {known: []*schedtest.Pod{schedtest.MakePod("t").In("other")}},
		"without an owner":                     {known: []*schedtest.Pod{schedtest.MakePod("t").Owner()}},
		"one for any node":                     {known: []*schedtest.Pod{schedtest.MakePod("t").Affinity(nil)}},
		"a surge beside another revision":      {pod: surge("p", "r2"), known: []*schedtest.Pod{schedtest.MakePod("t").Revision("r1")}},
		"a surge beside its own revision":      {pod: surge("p", "r2"), known: []*schedtest.Pod{surge("t", "r2")}, want: pending("t")},
		"another revision beside a surge":      {pod: schedtest.MakePod("p").Revision("r1"), known: []*schedtest.Pod{surge("t", "r2")}, want: pending("t")},
		"a surge beside two":                   {pod: surge("p", "r3"), known: []*schedtest.Pod{schedtest.MakePod("t").Revision("r1"), surge("t2", "r1")}, want: pending("t")},
		"a surge beside one, and one bound":    {pod: surge("p", "r3"), known: []*schedtest.Pod{surge("t", "r2")}, node: []*schedtest.Pod{schedtest.Twin("u").Revision("r1")}, want: pending("t")},
		"a surge beside one that is bound":     {pod: surge("p", "r2"), known: []*schedtest.Pod{surge("p", "r2")}, node: []*schedtest.Pod{schedtest.Twin("u").Revision("r1")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := schedtest.MakePod("p")
			if test.pod != nil {
				pod = test.pod
			}
			info := framework.NewNodeInfo()
			info.SetNode(st.MakeNode().Name("n1").Obj())
			for _, p := range test.node {
				info.AddPod(p.Obj())
			}
			plugin, state := knowing(t, test.known...), framework.NewCycleState()
			if _, status := plugin.PreFilter(t.Context(), state, pod.Obj(), nil); !status.IsSuccess() {
				t.Fatalf("PreFilter: %v", status)
			}
			got := plugin.Filter(t.Context(), state, pod.Obj(), info)
			if test.want != nil && got != nil && name == "a surge beside two" { // either of the two is named
				test.want = refused(got.Message())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("status (-want, +got):\n%s", diff)
			}
		})
	}
}

// The informer may be ahead of the snapshot that Filter saw: Reserve checks once more.
func TestReserve(t *testing.T) {
	tests := map[string]struct {
		pod   *schedtest.Pod // defaults to schedtest.MakePod("p")
		known []*schedtest.Pod
		want  string
	}{
		"alone":                             {known: []*schedtest.Pod{schedtest.MakePod("p")}},
		"a twin is bound":                   {known: []*schedtest.Pod{schedtest.Twin("t")}, want: "already has pod t of the same DaemonSet"},
		"a twin of lower priority is bound": {known: []*schedtest.Pod{schedtest.Twin("t").Priority(1)}, want: "already has pod t of the same DaemonSet"},
		"a terminating twin is bound":       {known: []*schedtest.Pod{schedtest.Twin("t").Terminating()}, want: "pod t of the same DaemonSet is terminating; waiting until it is gone"},
		"a twin is bound to another node":   {known: []*schedtest.Pod{schedtest.Twin("t").On("n2")}},
		"another daemon's is bound":         {known: []*schedtest.Pod{schedtest.Twin("t").Owner(schedtest.OwnerRef(schedtest.Native, "uid-e"))}},
		"a twin is pending":                 {known: []*schedtest.Pod{schedtest.MakePod("t")}, want: "pod t of the same DaemonSet is pending for this node too; waiting until one of them is deleted"},
		"a surge beside an old one":         {pod: schedtest.MakePod("p").Revision("r2").Surge(), known: []*schedtest.Pod{schedtest.Twin("t").Revision("r1")}},
		"a surge beside an old and a new":   {pod: schedtest.MakePod("p").Revision("r2").Surge(), known: []*schedtest.Pod{schedtest.Twin("t").Revision("r1"), schedtest.MakePod("u").Revision("r3").Surge()}, want: "already has pod t of the same DaemonSet"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := schedtest.MakePod("p")
			if test.pod != nil {
				pod = test.pod
			}
			var want *fwk.Status
			if test.want != "" {
				want = fwk.NewStatus(fwk.Unschedulable, test.want)
			}
			if diff := cmp.Diff(want, knowing(t, test.known...).Reserve(t.Context(), nil, pod.Obj(), "n1")); diff != "" {
				t.Errorf("status (-want, +got):\n%s", diff)
			}
		})
	}
	if status := (&shared{plugin()}).Reserve(t.Context(), nil, schedtest.MakePod("p").Owner().Obj(), "n1"); !status.IsSuccess() {
		t.Errorf("a pod that is not a daemon's is refused: %v", status)
	}
}

// When a pod stops waiting, the last pods of its cell are retried, and no others.
func TestWaker(t *testing.T) {
	twin := func() *schedtest.Pod { return schedtest.MakePod("t") }
	tests := map[string]struct {
		event func(*waker)
		known []*schedtest.Pod
		want  []string
	}{
		"deleted":                      {event: func(w *waker) { w.OnDelete(twin().Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}, want: []string{"ns/p"}},
		"deleted unseen":               {event: func(w *waker) { w.OnDelete(cache.DeletedFinalStateUnknown{Obj: twin().Obj()}) }, known: []*schedtest.Pod{schedtest.MakePod("p")}, want: []string{"ns/p"}},
		"terminates":                   {event: func(w *waker) { w.OnUpdate(twin().Obj(), twin().Terminating().Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}, want: []string{"ns/p"}},
		"bound":                        {event: func(w *waker) { w.OnUpdate(twin().Obj(), schedtest.Twin("t").Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}, want: []string{"ns/p"}},
		"released":                     {event: func(w *waker) { w.OnUpdate(twin().Obj(), twin().Owner().Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}, want: []string{"ns/p"}},
		"no other pod waits":           {event: func(w *waker) { w.OnDelete(twin().Obj()) }},
		"another cell waits":           {event: func(w *waker) { w.OnDelete(twin().Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p").In("other")}},
		"changed":                      {event: func(w *waker) { w.OnUpdate(twin().Obj(), twin().Priority(7).Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}},
		"added":                        {event: func(w *waker) { w.OnAdd(twin().Obj(), false) }, known: []*schedtest.Pod{schedtest.MakePod("p")}},
		"a bound one deleted":          {event: func(w *waker) { w.OnDelete(schedtest.Twin("t").Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}},
		"one without an owner deleted": {event: func(w *waker) { w.OnDelete(twin().Owner().Obj()) }, known: []*schedtest.Pod{schedtest.MakePod("p")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			test.event(&waker{twins: knowing(t, test.known...).twins, activate: func(_ klog.Logger, pods map[string]*corev1.Pod) {
				for name := range pods {
					got = append(got, name)
				}
			}})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("retried (-want, +got):\n%s", diff)
			}
		})
	}
}

// A twin that Reserve saw before the scheduler's cache did may be preempted.
func TestQueueingHintOfPlacedPods(t *testing.T) {
	for name, test := range map[string]struct {
		placed *schedtest.Pod
		want   fwk.QueueingHint
	}{
		"a twin of lower priority":  {schedtest.Twin("t").Priority(1), fwk.Queue},
		"a twin of equal priority":  {schedtest.Twin("t"), fwk.QueueSkip},
		"another's, lower":          {schedtest.Twin("t").Priority(1).Owner(), fwk.QueueSkip},
		"on another node, lower":    {schedtest.Twin("t").Priority(1).On("n2"), fwk.QueueSkip},
		"a twin of higher priority": {schedtest.Twin("t").Priority(1000), fwk.QueueSkip},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := schedtest.HintOf(t, plugin(), fwk.AssignedPod, fwk.Add)(klog.Logger{}, schedtest.MakePod("p").Obj(), nil, test.placed.Obj())
			if err != nil || got != test.want {
				t.Errorf("hint %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

// crowded returns a plugin whose informer holds very many pods of one cell, which a user who may create pods can create.
func crowded(tb testing.TB, pods int) *Uniqueness {
	unique := plugin()
	for i := range pods {
		if err := unique.twins.pods.Add(schedtest.MakePod(fmt.Sprint(i)).WithUID(types.UID(fmt.Sprintf("uid-%d", i))).Obj()); err != nil {
			tb.Fatal(err)
		}
	}
	return unique
}

// However many pods wait for one cell, a lookup reads a part of them and returns a few.
func TestManyPendingTwins(t *testing.T) {
	const many = 4800
	unique, pod := crowded(t, many), schedtest.MakePod("p").Obj()
	key, _ := served(pod)
	found, err := unique.twins.waiting(pod, key)
	if err != nil || len(found) != 2 {
		t.Errorf("%d pods, %v, want 2", len(found), err)
	}
	values := unique.twins.pods.ListIndexFuncValues(waitingIndex)
	largest := 0
	for _, value := range values {
		keys, _ := unique.twins.pods.IndexKeys(waitingIndex, value)
		largest = max(largest, len(keys))
	}
	if len(values) != shards || largest > 2*many/shards {
		t.Errorf("the pods are in %d parts of up to %d, want %d of about %d", len(values), largest, shards, many/shards)
	}
	// Bound pods are in no part.
	for _, object := range slices.Clone(unique.twins.pods.List()) {
		placed := object.(*corev1.Pod).DeepCopy()
		placed.Spec.NodeName = "n1"
		if err := unique.twins.pods.Update(placed); err != nil {
			t.Fatal(err)
		}
	}
	if values := unique.twins.pods.ListIndexFuncValues(waitingIndex); len(values) != 0 {
		t.Errorf("%d parts are left, want none", len(values))
	}
}

// BenchmarkWaiting measures one lookup, in a cell of one pod and in one of 100,000.
func BenchmarkWaiting(b *testing.B) {
	for _, pods := range []int{1, 100_000} {
		b.Run(fmt.Sprint(pods), func(b *testing.B) {
			unique, pod := crowded(b, pods), schedtest.MakePod("p").Obj()
			key, _ := served(pod)
			for b.Loop() {
				if _, err := unique.twins.waiting(pod, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// none disables all features of client-go.
type none struct{}

func (none) Enabled(clientfeatures.Feature) bool { return false }

// The plugin refuses a store that processes a list pod by pod.
func TestNewWithoutWholeLists(t *testing.T) {
	gates := clientfeatures.FeatureGates()
	t.Cleanup(func() { clientfeatures.ReplaceFeatureGates(gates) })
	clientfeatures.ReplaceFeatureGates(none{})
	if _, err := New(t.Context(), nil, handle{snapshot: plugin().snapshot}); err == nil || !strings.Contains(err.Error(), "AtomicFIFO") {
		t.Errorf("New: %v, want an error that names the missing feature", err)
	}
}

// BenchmarkIndexes measures the memory that the indexes take for a bound pod, with 20 daemons on 5,000 nodes.
func BenchmarkIndexes(b *testing.B) {
	const nodes, daemons = 5000, 20
	pods := make([]*corev1.Pod, 0, nodes*daemons)
	for i := range nodes * daemons {
		pod := schedtest.MakePod(fmt.Sprintf("daemon-%d-node-%d-abcdefgh", i%daemons, i/daemons)).WithUID(types.UID(fmt.Sprintf("uid-%d", i)))
		pods = append(pods, pod.Owner(schedtest.OwnerRef(schedtest.Ours, types.UID(fmt.Sprintf("owner-%d", i%daemons)))).On(fmt.Sprintf("node-%d", i/daemons)).Obj())
	}
	fill := func(indexers cache.Indexers) float64 {
		var before, after goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&before)
		store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers)
		for _, pod := range pods {
			if err := store.Add(pod); err != nil {
				b.Fatal(err)
			}
		}
		goruntime.GC()
		goruntime.ReadMemStats(&after)
		goruntime.KeepAlive(store)
		return float64(after.HeapAlloc) - float64(before.HeapAlloc)
	}
	for b.Loop() {
		without := fill(cache.Indexers{})
		with := fill(cache.Indexers{waitingIndex: indexWaiting, placedIndex: indexPlaced})
		b.ReportMetric((with-without)/float64(len(pods)), "B/pod")
	}
}
