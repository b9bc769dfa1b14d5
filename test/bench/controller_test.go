package bench

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// BenchmarkPodStatusEvent measures the cost of a pod's status event in the controller, from the
// network to the status of its DaemonSet, including decoding, cache, plan and garbage collection; and
// its cost in client-go's informer alone.
func BenchmarkPodStatusEvent(b *testing.B) {
	const rounds, events = 20, 1000
	subjects := []struct {
		name string
		*subject
	}{
		{"nodes=1000", startController(b, 1000, 1)},
		{"nodes=15000", startController(b, 15000, 1)},
		{"informer/nodes=15000", startInformer(b, 15000, 1)},
	}
	each := cpuPerEvent(b, rounds, events, subjects[0].subject, subjects[1].subject, subjects[2].subject)
	for i, s := range subjects {
		b.Run(s.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op") // measured in turns with the others
			b.ReportMetric(float64(each[i].Nanoseconds())/1000, "µs-cpu/event")
			b.ReportMetric(float64(each[i])/float64(each[0]), "x-nodes=1000")
		})
	}
}

// BenchmarkControllerMemory measures the controller's memory with 300,000 pods: the peak
// while it loads them, then idle, then in a storm of events.
func BenchmarkControllerMemory(b *testing.B) {
	for b.Loop() {
		begun := time.Now()
		s := startController(b, 15000, 20)
		b.ReportMetric(time.Since(begun).Seconds(), "s-to-sync")
		time.Sleep(settling)
		b.ReportMetric(memory(b, s.process.PID(), "VmRSS"), "MB-rss")
		each := cpuPerEvent(b, 1, 10000, s)
		b.ReportMetric(float64(each[0].Nanoseconds())/1000, "µs-cpu/event")
		b.ReportMetric(memory(b, s.process.PID(), "VmRSS"), "MB-rss-storm")
		b.ReportMetric(memory(b, s.process.PID(), "VmHWM"), "MB-peak")
		s.awaitAllReady()
	}
	b.ReportMetric(0, "ns/op")
}

// A storm of events causes only status writes, at most one a second for each daemon,
// and the last one is correct. The benchmarks rely on this.
func TestStormCostsOnlyStatusWrites(t *testing.T) {
	const nodes, daemons, rounds = 50, 3, 2
	s := startController(t, nodes, daemons)
	begun, before := time.Now(), s.Counters()
	for range rounds {
		s.storm(2*nodes*daemons, 200)
	}
	s.awaitAllReady()
	took, after := time.Since(begun), s.Counters()
	s.checkWork()
	for _, name := range slices.Sorted(maps.Keys(s.Statuses())) {
		writes, limit := after.StatusWrites[name]-before.StatusWrites[name], int(took.Seconds())+1
		if writes < 1 || writes > limit {
			t.Errorf("%s: %d status writes within %v, want 1 to %d", name, writes, took, limit)
		}
		status := s.Statuses()[name]
		got := []int32{status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.NumberReady, status.NumberAvailable,
			status.UpdatedNumberScheduled, status.NumberUnavailable, status.NumberMisscheduled}
		if want := []int32{nodes, nodes, nodes, nodes, nodes, 0, 0}; !slices.Equal(got, want) {
			t.Errorf("%s: desired, current, ready, available, updated, unavailable, misscheduled = %v, want %v", name, got, want)
		}
	}
}
