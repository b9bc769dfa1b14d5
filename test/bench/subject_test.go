package bench

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/everynode/everynode/test/bench/standin"
	"github.com/everynode/everynode/test/lab"
)

const (
	// eventRate is how many events a second are sent: far more than a cluster of this size has, but
	// few enough that each is processed by itself.
	eventRate = 2000
	// settling is how long a program stays idle before its processor time is read.
	settling = 3 * time.Second
	// patience bounds a start on a busy machine, and how far a program may lag behind.
	patience = 5 * time.Minute
)

// subject is a program that uses a stand-in for an API server with a whole cluster. It is a
// separate process, so that its cost can be distinguished from that of the stand-in and the test.
type subject struct {
	*standin.Server
	tb      testing.TB
	nodes   int
	process *lab.Component
	stormed int // pods that had events in earlier storms
}

// startController returns everynode-controller once it has received all objects and is idle.
func startController(tb testing.TB, nodes, daemons int) *subject {
	tb.Helper()
	s := &subject{Server: standin.Start(tb, nodes, daemons), tb: tb, nodes: nodes}
	s.process = lab.StartProgram(tb, lab.Program(tb, lab.Controller),
		"--kubeconfig="+s.Kubeconfig(tb), "--leader-elect=false", "--placement=direct", "--webhook-certificates=none",
		"--metrics-bind-address=0", "--health-probe-bind-address=0")
	s.awaitAllReady()
	return s
}

// startInformer returns a program that only does what every controller has to: it keeps every
// pod in a cache of client-go.
func startInformer(tb testing.TB, nodes, daemons int) *subject {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	s := &subject{Server: standin.Start(tb, nodes, daemons), tb: tb, nodes: nodes}
	s.process = lab.StartProgram(tb, self, "-"+informerFlag+"="+s.Kubeconfig(tb))
	s.await("it has received every pod", func() string {
		if s.Watches() == 0 {
			return "not yet"
		}
		return ""
	})
	return s
}

// await waits until the answer is "", which otherwise states what is missing.
func (s *subject) await(what string, missing func() string) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeoutCause(s.tb.Context(), patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	if err := lab.Eventually(ctx, what, func(context.Context) (string, error) {
		if !s.process.Running() {
			s.tb.Fatalf("%s ended", s.process.Name())
		}
		return missing(), nil
	}); err != nil {
		s.tb.Fatal(err)
	}
}

// awaitAllReady waits until every DaemonSet's status counts a ready pod on every node.
func (s *subject) awaitAllReady() {
	s.tb.Helper()
	s.await("every status counts a ready pod on every node", func() string {
		for name, status := range s.Statuses() {
			if int(status.NumberReady) != s.nodes {
				return fmt.Sprintf("%s has %d of %d; so far %+v", name, status.NumberReady, s.nodes, s.Counters())
			}
		}
		return ""
	})
}

// storm sends events at a rate, one by one: pods spread over the cluster become unready one
// after the other, then ready again in the same order; a cluster with fewer pods has several such
// rounds. At the end every pod is ready. The next storm begins with other pods.
func (s *subject) storm(events, perSecond int) {
	s.tb.Helper()
	round := min(s.Pods(), events/2)
	begun := time.Now()
	for i := range events / (2 * round) * 2 * round {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		// The stride is a prime that divides no number of pods here, so that a round visits each pod once.
		if err := s.Toggle((s.stormed + i%round) * 7919 % s.Pods()); err != nil {
			s.tb.Fatal(err)
		}
	}
	s.stormed += round
}

// checkWork fails the test if the program did anything but write statuses.
func (s *subject) checkWork() {
	s.tb.Helper()
	if did := s.Counters(); did.Creates != 0 || did.Deletes != 0 || len(did.Other) != 0 {
		s.tb.Errorf("%d creates of pods, %d deletes, and the requests %q; want none", did.Creates, did.Deletes, did.Other)
	}
}

// cpuPerEvent returns the processor time of each subject for an event and all its
// consequences, without what it uses when idle. Each has a storm in every round, so
// that other load on the machine affects all of them equally.
func cpuPerEvent(tb testing.TB, rounds, events int, subjects ...*subject) []time.Duration {
	tb.Helper()
	cpu := func() []time.Duration {
		time.Sleep(settling)
		times := make([]time.Duration, len(subjects))
		for i, s := range subjects {
			times[i] = cpuTime(tb, s.process.PID())
		}
		return times
	}
	idle, idleSince := cpu(), time.Now()
	before, begun := cpu(), time.Now()
	for range rounds {
		for _, s := range subjects {
			s.storm(events, eventRate)
		}
	}
	after, ended := cpu(), time.Now()
	var each []time.Duration
	for i, s := range subjects {
		idling := float64(before[i]-idle[i]) * float64(ended.Sub(begun)) / float64(begun.Sub(idleSince))
		each = append(each, (after[i]-before[i]-time.Duration(idling))/time.Duration(rounds*events))
		s.checkWork()
	}
	return each
}
