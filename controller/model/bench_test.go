package model

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// deaf is a state that asks for nothing, with daemons whose pods run on every node.
func deaf(tb testing.TB, daemons, nodes int, change ...func(*v1alpha1.DaemonSet)) (*state, []*Pod) {
	tb.Helper()
	s := newState(func() time.Time { return t0 }, nil)
	s.begin()
	for n := range nodes {
		s.seeNode(makeNode(fmt.Sprintf("node-%d", n)))
	}
	var pods []*Pod
	for d := range daemons {
		set := makeDaemon(fmt.Sprintf("daemon-%d", d), change...)
		if err := s.seeRecorded(set); err != nil {
			tb.Fatal(err)
		}
		for n := range nodes {
			name := fmt.Sprintf("node-%d", n)
			pod := everynodeOnly.ObservePod(makePod(set, makeNode(name), bound(name), ready(t0), podUID(set.UID+"-"+"pod-"+makeNode(name).UID)))
			s.observePod(pod)
			if d == 0 {
				pods = append(pods, pod)
			}
		}
	}
	return s, pods
}

func BenchmarkNodeJoin(b *testing.B) {
	s, _ := deaf(b, 50, 100)
	node := makeNode("joins")
	b.ReportAllocs()
	for b.Loop() {
		s.seeNode(node)
		s.forgetNode(node.Name)
	}
}

// BenchmarkMemory is what 15,000 nodes with 20 daemons keep in the heap: nodes, trimmed pods and
// cells.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(liveBytes(b, 20, 15000))/(1<<20), "MiB")
	}
}

// liveBytes is what a model of so many daemons on so many nodes keeps in the heap.
func liveBytes(tb testing.TB, daemons, nodes int) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, _ := deaf(tb, daemons, nodes)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(s)
	return after.HeapAlloc - before.HeapAlloc
}

// A pod with its cell took 819 bytes while the cache and the cell had a record each, and takes 630 now.
func TestModelStaysSmall(t *testing.T) {
	const daemons, nodes, most = 20, 1_000, 720
	if each := liveBytes(t, daemons, nodes) / (daemons * nodes); each > most {
		t.Errorf("a pod with its cell takes %d bytes, want at most %d", each, most)
	}
}

// A node that joins touches one cell of each daemon, however many nodes there are.
func TestNodeJoinTouchesOneCellOfEachDaemon(t *testing.T) {
	s, q, _ := newTestState()
	for d := range 50 {
		see(t, s, makeDaemon(fmt.Sprintf("daemon-%d", d)))
	}
	for n := range 200 {
		s.seeNode(makeNode(fmt.Sprintf("node-%d", n)))
	}
	q.Drain()
	s.seeNode(makeNode("joins"))
	if got := len(q.Cells); got != 50 {
		t.Errorf("%d cells are planned, want 50", got)
	}
}

// BenchmarkTemplateChange is what a new template of a daemon on 15,000 nodes costs, all of whose pods may be replaced
// at once, and the time from one end of a hold of the model's lock to the next.
func BenchmarkTemplateChange(b *testing.B) {
	all := intstr.FromString("100%")
	s, _ := deaf(b, 1, 15000, replacing(all))
	var holds []time.Duration
	ended := time.Now()
	s.ended = func(*Wake) {
		now := time.Now()
		holds, ended = append(holds, now.Sub(ended)), now
	}
	for n := int64(2); b.Loop(); n++ {
		set := makeDaemon("daemon-0", replacing(all), generation(n), image(fmt.Sprintf("image:%d", n)))
		ended = time.Now()
		if err := s.seeRecorded(set); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(holds)
	for _, percent := range []int{50, 99} { // of the longest ones most are other processes' turns
		b.ReportMetric(float64(holds[len(holds)*percent/100].Microseconds()), fmt.Sprintf("µs/hold-p%d", percent))
	}
}
