package daemon

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/types"
)

// A large cluster has 300,000 cells. Before cells had targets each took 224 bytes, as the allocator rounds up, and 292
// together with the indexes that find it.
const (
	mostCellBytes = 176
	mostLiveBytes = 260
)

func TestCellsStaySmall(t *testing.T) {
	if size := unsafe.Sizeof(counted{}); size > mostCellBytes {
		t.Errorf("a cell takes %d bytes, want at most %d", size, mostCellBytes)
	}
	const nodes = 20_000
	names, pods := make([]string, nodes), make([]*Pod, nodes)
	for i := range nodes {
		names[i] = fmt.Sprintf("node-%d", i)
		pods[i] = &Pod{Name: names[i], UID: types.UID(names[i]), Revision: "r1", NodeUID: types.UID(names[i]), Created: t0, Bound: true, Ready: true, ReadySince: t0}
	}
	live := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := live()
	var cells Cells
	cells.SetTemplate("r1", 0, unavailable("1"), t0)
	for i, name := range names {
		cells.SetNode(name, types.UID(name), eligible, t0)
		cells.SetPod(name, pods[i], t0)
	}
	if each := int64(live()-before) / nodes; each > mostLiveBytes {
		t.Errorf("a cell and its place in the indexes take %d bytes, want at most %d", each, mostLiveBytes)
	}
	runtime.KeepAlive(names)
	runtime.KeepAlive(pods)
	runtime.KeepAlive(&cells)
}

// What is done for every event of a pod hardly allocates: the pod's state that remembers it was ready.
func TestCellsHardlyAllocate(t *testing.T) {
	c := newCluster(t, 100, unavailable("1"))
	ready, unready := *c.podsOn("n7")[0], *c.podsOn("n7")[0]
	unready.Ready = false
	later := t0.Add(time.Second)
	tests := map[string]struct {
		do   func()
		most float64
	}{
		"a pod turns unready and ready": {func() { c.cells.SetPod("n7", &unready, later); c.cells.SetPod("n7", &ready, later) }, 1},
		"a plan":                        {func() { c.cells.Plan("n9", later) }, 0},
		"all cells are counted again": {func() {
			c.cells.Renew(RolloutState{Update: c.revision}, 0, c.strategy)
			c.cells.Recount(c.nodes, later)
		}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, test.do); got > test.most {
				t.Errorf("%v allocations, want at most %v", got, test.most)
			}
		})
	}
}
