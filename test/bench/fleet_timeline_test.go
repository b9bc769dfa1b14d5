package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/everynode/everynode/test/lab"
)

// BenchmarkFleetTimeline shows where a rolling update spends its time: for each replaced pod, from its delete until its
// successor is ready, and from there until the next delete. It also counts the requests of each phase and the bytes of a pod.
func BenchmarkFleetTimeline(b *testing.B) {
	f := startFleet(b, audited(lab.Options{Nodes: *fleetNodes}))
	log := f.requestLog()
	for _, s := range []side{everynode, upstream} {
		b.Run(fmt.Sprintf("nodes=%d/%s", *fleetNodes, s.name), func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			d := f.daemon(s, "timeline-"+s.name)
			ctx, cancel := context.WithTimeoutCause(b.Context(), patience, fmt.Errorf("not within %s", patience))
			defer cancel()
			phase := func(name string, do func(context.Context)) []auditv1.Event {
				time.Sleep(settling)
				log.next()
				begun := time.Now()
				do(ctx)
				b.ReportMetric(time.Since(begun).Seconds(), "s-"+name)
				time.Sleep(settling) // events and statuses follow
				events := log.next()
				show("%s of %s: requests for each pod%s", name, s.name, countRequests(events, f.nodes))
				return events
			}
			phase(fanOut, d.create)
			b.ReportMetric(d.bytesPerPod(ctx), "B/pod")
			events := phase(rollingUpdate, func(ctx context.Context) { d.update(ctx, "v2") })
			unavailable := intstr.Parse(*fleetUnavailable)
			window, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, f.nodes, true)
			d.Must(err)
			show("%s of %s, ms:%s", rollingUpdate, s.name, newTimeline(events, d.of("example.com/fleet:v1"), d.of("example.com/fleet:v2"), window))
			d.remove()
		})
	}
}

// show prints results that have no metric. The testing package truncates the log of a benchmark after ten lines.
func show(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// bytesPerPod returns the mean size of a stored pod, in protobuf as in etcd.
func (d *fleetDaemon) bytesPerPod(ctx context.Context) float64 {
	d.tb.Helper()
	pods, err := d.fast.CoreV1().Pods(d.set.Namespace).List(ctx, d.selector())
	d.Must(err)
	size := 0
	for i := range pods.Items {
		size += pods.Items[i].Size()
	}
	return float64(size) / float64(max(1, len(pods.Items)))
}

// stage is one part of the time to replace a pod.
type stage struct {
	name  string
	times []time.Duration
}

func (s *stage) add(from, to time.Time) {
	if !from.IsZero() && !to.IsZero() {
		s.times = append(s.times, to.Sub(from))
	}
}

// timeline is a list of stages, in order.
type timeline []*stage

// newTimeline follows each old pod and its successor on the same node. Of a window of nodes that may be without a pod each
// ready pod allows one more delete, so the k-th ready pod is followed by the delete number k+window. kube-controller-manager
// leaves the names of pods to the API server, so its individual creates are not known.
func newTimeline(events []auditv1.Event, old, successors []sighting, window int) timeline {
	var (
		deletes, creates, bindings = podRequests(events, "delete", ""), podRequests(events, "create", ""), podRequests(events, "create", "binding")

		answered, gone, next   = &stage{name: "delete sent to answered"}, &stage{name: "delete sent to gone seen"}, &stage{name: "gone seen to next pod stored"}
		create, stored         = &stage{name: "gone seen to create sent"}, &stage{name: "create sent to answered"}
		bound, ready, replaced = &stage{name: "stored to bound"}, &stage{name: "bound to ready seen"}, &stage{name: "delete sent to successor ready"}

		permit    = &stage{name: "ready seen to next delete sent"}
		deleted   []time.Time
		available []time.Time
	)
	byNode := map[string]sighting{}
	for _, pod := range successors {
		byNode[pod.node] = pod
	}
	for _, pod := range old {
		successor, sent := byNode[pod.node], deletes[pod.name]
		answered.add(sent.received, sent.answered)
		gone.add(sent.received, pod.gone)
		create.add(pod.gone, creates[successor.name].received)
		stored.add(creates[successor.name].received, creates[successor.name].answered)
		next.add(pod.gone, successor.stored)
		bound.add(successor.stored, bindings[successor.name].answered)
		ready.add(bindings[successor.name].answered, successor.ready)
		replaced.add(sent.received, successor.ready)
		if !sent.received.IsZero() {
			deleted = append(deleted, sent.received)
		}
		if !successor.ready.IsZero() {
			available = append(available, successor.ready)
		}
	}
	slices.SortFunc(deleted, time.Time.Compare)
	slices.SortFunc(available, time.Time.Compare)
	for i := 0; i+window < len(deleted) && i < len(available); i++ {
		permit.add(available[i], deleted[i+window])
	}
	return timeline{answered, gone, create, stored, next, bound, ready, replaced, permit}
}

func (t timeline) String() string {
	var table strings.Builder
	fmt.Fprintf(&table, "\n  %-32s %6s %8s %8s %8s", "", "count", "p50", "p90", "p99")
	for _, s := range t {
		fmt.Fprintf(&table, "\n  %-32s %6d", s.name, len(s.times))
		slices.Sort(s.times)
		for _, percent := range []int{50, 90, 99} {
			if len(s.times) > 0 {
				fmt.Fprintf(&table, " %8.1f", us(s.times[(len(s.times)-1)*percent/100])/1000)
			}
		}
	}
	return table.String()
}

// The k-th ready pod allows the delete number k+window, and unknown times of a pod are omitted.
func TestTimeline(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	request := func(verb, subresource, name string, received, answered int) auditv1.Event {
		var event auditv1.Event
		event.Verb, event.ObjectRef = verb, &auditv1.ObjectReference{Resource: "pods", Subresource: subresource, Name: name}
		event.RequestReceivedTimestamp.Time, event.StageTimestamp.Time = at(received), at(answered)
		event.ResponseStatus = &metav1.Status{Code: 200}
		return event
	}
	events := []auditv1.Event{
		request("delete", "", "a1", 100, 103), request("create", "", "a2", 120, 127), request("create", "binding", "a2", 140, 142),
		request("delete", "", "b1", 200, 203), request("create", "binding", "b2", 230, 235),
	}
	old := []sighting{{name: "a1", node: "a", gone: at(110)}, {name: "b1", node: "b", gone: at(210)}}
	successors := []sighting{{name: "a2", node: "a", stored: at(125), ready: at(160)}, {name: "b2", node: "b", stored: at(222), ready: at(250)}}
	want := map[string][]int{
		"delete sent to answered": {3, 3}, "delete sent to gone seen": {10, 10}, "gone seen to create sent": {10}, "create sent to answered": {7},
		"gone seen to next pod stored": {15, 12}, "stored to bound": {17, 13}, "bound to ready seen": {18, 15}, "delete sent to successor ready": {60, 50},
		"ready seen to next delete sent": {40},
	}
	for _, stage := range newTimeline(events, old, successors, 1) {
		var got []int
		for _, took := range stage.times {
			got = append(got, int(took.Milliseconds()))
		}
		if !slices.Equal(got, want[stage.name]) {
			t.Errorf("%s: %v ms, want %v", stage.name, got, want[stage.name])
		}
	}
}
