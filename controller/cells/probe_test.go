package cells

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/fixture"
)

const dryRunOfEmitted = "emitted, dry run"

func blueOnly(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{"color": "blue"} }

func (f *fleet) blockedNodes() int {
	_, health := f.state.Health(fixture.Key(f.set))
	blocked := 0
	for _, group := range health.Excluded {
		blocked += group.Total
	}
	return blocked
}

// A pod of a blocked node is kept and costs increasingly rare dry runs; it is replaced once admission would permit a new
// pod on the node.
func TestBlockedNodeIsProbedUnderBackOff(t *testing.T) {
	f := newFleet(t, fleetOf(1, 1))
	f.Relabel = blueOnly
	f.pass(t)
	f.inform(t)
	if got := f.blockedNodes(); got != 1 {
		t.Fatalf("%d nodes are blocked, want 1", got)
	}
	before := f.Pods(t)
	f.Requests = nil
	for range int(time.Hour / time.Second) {
		f.clock.Advance(time.Second)
		f.reconciler.ProbeBlocked(t.Context())
	}
	// After 1, 2, 4, … 512 s and then every 15 minutes.
	if got := len(f.Requests); got < 12 || got > 14 || slices.ContainsFunc(f.Requests, func(request string) bool { return request != dryRunOfEmitted }) {
		t.Errorf("%d requests in an hour: %v", got, f.Requests)
	}
	if made := f.pass(t); len(f.Pods(t)) != len(before) {
		t.Errorf("pods were created: %v", made)
	}

	f.Relabel, f.Requests = nil, nil
	f.clock.Advance(15 * time.Minute)
	f.reconciler.ProbeBlocked(t.Context())
	wantStrings(t, "requests", []string{dryRunOfEmitted}, f.Requests)
	for range 4 {
		f.pass(t)
		f.inform(t)
	}
	after := f.Pods(t)
	if f.blockedNodes() != 0 || len(after) != len(before) || slices.ContainsFunc(after, func(pod corev1.Pod) bool {
		return pod.Spec.NodeSelector != nil && pod.UID != before[0].UID && pod.UID != before[1].UID
	}) {
		t.Errorf("%d nodes are blocked, pods %+v", f.blockedNodes(), after)
	}
}

// However many nodes are blocked, there are few dry runs; a missing answer or a refusal of the API server is no reason
// to replace a pod.
func TestProbesAreFew(t *testing.T) {
	f := newFleet(t, fleetOf(30, 0))
	f.Relabel = blueOnly
	for range 4 {
		f.pass(t)
	}
	f.inform(t)
	if got := f.blockedNodes(); got != 30 {
		t.Fatalf("%d nodes are blocked, want 30", got)
	}
	f.clock.Advance(time.Second)
	f.Requests, f.Relabel, f.Refuse = nil, nil, errors.New("connection refused")
	f.reconciler.ProbeBlocked(t.Context())
	if got := len(f.Requests); got != blockedAtOnce {
		t.Errorf("%d requests at once, want %d", got, blockedAtOnce)
	}
	if got := f.blockedNodes(); got != 30 {
		t.Errorf("%d nodes are blocked without an answer, want 30", got)
	}
}

// Once it is known that admission may block nodes, a serving pod is not replaced by one that could never run.
func TestAvailablePodIsTriedFirst(t *testing.T) {
	f := newFleet(t, fleetOf(2, 0), oneUnavailable)
	for _, node := range f.nodes {
		f.hold(t, makePod(f.set, makeNode(node), bound(node), ready(t0)))
	}
	f.inform(t)
	f.Relabel = blueOnly
	f.state.See(t, makeDaemon("d", oneUnavailable, generation(2), image("image:2")))
	for range 6 {
		f.pass(t)
		f.inform(t)
	}
	var serve, wait int
	for _, pod := range f.Pods(t) {
		if pod.Spec.NodeSelector == nil {
			serve++
		} else {
			wait++
		}
	}
	if serve != 1 || wait != 1 || f.blockedNodes() != 2 {
		t.Errorf("%d pods serve and %d wait, %d nodes are blocked; want 1, 1 and 2: %s", serve, wait, f.blockedNodes(), fmt.Sprint(f.Requests))
	}
}
