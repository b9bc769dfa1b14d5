package controller

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/bench/standin"
)

// deaf is a world that asks for nothing, with daemons whose pods run on every node.
func deaf(tb testing.TB, daemons, nodes int, change ...func(*v1alpha1.DaemonSet)) (*state, []*seenPod) {
	tb.Helper()
	w := newState(everynodeOnly, "", func() time.Time { return t0 }, enqueuers{func(daemon.CellKey, int32) {}, func(DaemonKey) {}, func(DaemonKey) {}})
	w.begin()
	for n := range nodes {
		w.nodeSeen(makeNode(fmt.Sprintf("node-%d", n)))
	}
	var pods []*seenPod
	for d := range daemons {
		set := makeDaemon(fmt.Sprintf("daemon-%d", d), change...)
		if err := w.seen(set); err != nil {
			tb.Fatal(err)
		}
		for n := range nodes {
			name := fmt.Sprintf("node-%d", n)
			pod := everynodeOnly.seePod(makePod(set, makeNode(name), bound(name), ready(t0), podUID(set.UID+"-"+"pod-"+makeNode(name).UID)))
			w.podIs(pod)
			if d == 0 {
				pods = append(pods, pod)
			}
		}
	}
	return w, pods
}

// A pod's event costs what it changed: the time must hardly depend on the number of nodes. It is all
// that this package does about one, from the bytes that the watch brings to the plan.
func BenchmarkPodEvent(b *testing.B) {
	raw := standin.EncodedPod(b)
	for _, nodes := range []int{1000, 15000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			w, pods := deaf(b, 1, nodes)
			unready := make([]*seenPod, len(pods))
			for i, pod := range pods {
				changed, observed := *pod, *pod.observed
				observed.Ready, changed.observed = false, &observed
				unready[i] = &changed
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				states := pods
				if i/len(pods)%2 == 0 {
					states = unready
				}
				var decoded leanPod
				if err := decoded.Unmarshal(raw); err != nil || !everynodeOnly.seePod(&decoded.Pod).ours {
					b.Fatal(err)
				}
				pod := states[i%len(pods)]
				w.podIs(pod)
				w.task(pod.cell)
				i++
			}
		})
	}
}

// BenchmarkSeePod is what it takes to decode a pod and to keep what is kept of it: lean, as the
// controller does it, and whole, as client-go would.
func BenchmarkSeePod(b *testing.B) {
	raw := standin.EncodedPod(b)
	decode := map[string]func() (*seenPod, error){
		"lean": func() (*seenPod, error) {
			var pod leanPod
			err := pod.Unmarshal(raw)
			return everynodeOnly.seePod(&pod.Pod), err
		},
		"whole": func() (*seenPod, error) {
			var pod corev1.Pod
			err := pod.Unmarshal(raw)
			return everynodeOnly.seePod(&pod), err
		},
	}
	for _, how := range []string{"lean", "whole"} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if seen, err := decode[how](); err != nil || !seen.ours {
					b.Fatalf("seen %+v, %v", seen, err)
				}
			}
		})
	}
}

func BenchmarkNodeJoin(b *testing.B) {
	w, _ := deaf(b, 50, 100)
	node := makeNode("joins")
	b.ReportAllocs()
	for b.Loop() {
		w.nodeSeen(node)
		w.nodeGone(node.Name)
	}
}

// BenchmarkMemory is what 15,000 nodes with 20 daemons keep in the heap: nodes, trimmed pods and
// cells.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w, _ := deaf(b, 20, 15000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		runtime.KeepAlive(w)
	}
}

// A node that joins touches one cell of each daemon, however many nodes there are.
func TestNodeJoinTouchesOneCellOfEachDaemon(t *testing.T) {
	w, q, _ := newTestWorld()
	for d := range 50 {
		see(t, w, makeDaemon(fmt.Sprintf("daemon-%d", d)))
	}
	for n := range 200 {
		w.nodeSeen(makeNode(fmt.Sprintf("node-%d", n)))
	}
	q.drain()
	w.nodeSeen(makeNode("joins"))
	if got := len(q.plans); got != 50 {
		t.Errorf("%d cells are planned, want 50", got)
	}
}

// BenchmarkTemplateChange is what a new template of a daemon on 15,000 nodes costs, all of whose pods may be replaced
// at once, and the time from one end of a hold of the model's lock to the next.
func BenchmarkTemplateChange(b *testing.B) {
	all := intstr.FromString("100%")
	w, _ := deaf(b, 1, 15000, replacing(all))
	var holds []time.Duration
	ended := time.Now()
	w.mu.ended = func(*wake) {
		now := time.Now()
		holds, ended = append(holds, now.Sub(ended)), now
	}
	for n := int64(2); b.Loop(); n++ {
		set := makeDaemon("daemon-0", replacing(all), generation(n), image(fmt.Sprintf("image:%d", n)))
		ended = time.Now()
		if err := w.seen(set); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(holds)
	for _, percent := range []int{50, 99} { // of the longest ones most are other processes' turns
		b.ReportMetric(float64(holds[len(holds)*percent/100].Microseconds()), fmt.Sprintf("µs/hold-p%d", percent))
	}
}
