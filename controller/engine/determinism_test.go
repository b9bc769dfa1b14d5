package engine_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

// run executes a scenario: a cluster starts, changes and fails in a number of random steps, and converges. S1, S3
// and S4 are checked at every step.
func run(t *testing.T, seed uint64, steps int) string {
	t.Helper()
	s := newSim(t, seed, placement.Auto)
	s.addDaemons()
	for range 5 {
		s.addNode()
	}
	for s.collect(); len(s.kinds()) > 0; s.collect() {
		s.deliver(s.kinds()[0])
	}
	s.engine.Begin()
	s.faults, s.full = true, seed%2 == 1 // every second history begins with pods that are held back
	for range steps {
		switch n := s.random.IntN(10); {
		case n < 6:
			s.engineStep()
		case n < 9:
			s.clusterStep()
		default:
			s.advance([]time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}[s.random.IntN(3)])
		}
	}
	s.rest()
	return s.history.String()
}

// rest ends all faults and changes, and works until every node has its pods and writes stop (L1, L2).
func (s *sim) rest() {
	s.faults = false
	s.setClass(false)
	const most = 100_000 // of an engine that has nothing left to do; others write for as long as they are let
	steps := 0
	for i := range 1000 {
		for s.engineStep() {
			if steps++; steps > most {
				s.logHistory()
				s.t.Fatalf("L2: the engine is still at work after %d steps", most)
			}
		}
		for _, pod := range s.pods() {
			s.serve(pod)
		}
		s.collect()
		if len(s.kinds()) == 0 {
			s.advance(time.Second << min(i/100, 4)) // two and a half hours: more than any back-off
		}
	}
	nodes := len(s.api.Objects("Node"))
	for _, object := range s.api.Objects("DaemonSet.everynode.dev") {
		set := object.(*v1alpha1.DaemonSet)
		revision, err := daemon.Revision(&set.Spec.Template)
		if err != nil {
			s.t.Fatal(err)
		}
		ready := 0
		for _, pod := range s.pods() {
			if pod.OwnerReferences[0].UID != set.UID {
				continue
			}
			if pod.Labels[revisionLabel] != revision || pod.Status.Phase != corev1.PodRunning {
				s.t.Errorf("L1: %s has pod %s with revision %s, %q, want %s", set.Name, pod.Name, pod.Labels[revisionLabel], pod.Status.Phase, revision)
			}
			ready++
		}
		if ready != nodes || int(set.Status.NumberReady) != nodes {
			s.t.Errorf("L1: %s has %d pods and %d in its status, on %d nodes", set.Name, ready, set.Status.NumberReady, nodes)
		}
	}
}

// The engine's history depends only on the seed: every request and every event is the same, byte for byte,
// on any number of processors; another seed gives another history.
func TestHistoryDependsOnlyOnTheSeed(t *testing.T) {
	if before := runtime.GOMAXPROCS(0); before < 4 {
		runtime.GOMAXPROCS(4)
		defer runtime.GOMAXPROCS(before)
	}
	var all []string
	for seed := range uint64(5) {
		first, second := run(t, seed, 800), run(t, seed, 800)
		if first != second {
			t.Errorf("two histories of seed %d differ: %s", seed, difference(first, second))
		}
		if slices.Contains(all, first) {
			t.Error("two seeds have one history")
		}
		all = append(all, first)
	}
	history := strings.Join(all, "")
	for _, part := range []string{"create Pod", "delete Pod", "patch ControllerRevision", "update status DaemonSet", "create Event", "connection reset", "exceeded quota", "try Pod"} {
		if !strings.Contains(history, part) {
			t.Errorf("the history does not contain %q: the scenario is too narrow", part)
		}
	}
}

// Many random histories satisfy S1, S3 and S4 at every step, and converge with a pod of the last template on
// every node.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			run(t, 100+seed, 1000)
		})
	}
}

// difference returns the first line in which two histories differ.
func difference(first, second string) string {
	a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n%s\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(a), len(b))
}
