package faults

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/checker"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/ledger"
	"github.com/everynode/everynode/test/faults/observer"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
	"github.com/everynode/everynode/test/race"
)

// fault is one disturbance, with the proof that it happened.
type fault struct {
	// long runs only in make faults; slow, which takes more than two minutes, too, and less often.
	long, slow bool
	// lab are the options of a lab for each run; nil means the shared one.
	lab *lab.Options
	// exits are what the logs of programs contain that may exit by themselves.
	exits []string
	// idle leaves the fleet to the test.
	idle bool
	// inflict disturbs the lab and ends the disturbance.
	inflict func(*run)
	// judge looks for more than the checker does.
	judge func(*run, *history.History)
}

// run is one run of a fault.
type run struct {
	*labtest.Cluster
	stage    *stage
	fault    fault
	rng      *rand.Rand
	observer *observer.Process
	fleet    []*labtest.Workload
	rolls    int // templates so far
	began    time.Time
	lap      time.Time // when the last phase was over
	phases   []string  // what took how long
	title    string
	entry    ledger.Entry
	saved    bool // the history
}

// convergence bounds each wait. The controller asks the API server a minute after a request whose effect it has not seen, and then
// acts on the answer; some faults make it do so twice.
var convergence = race.Limit(3 * time.Minute)

// test runs a fault as often as configured. It stops at the first failure: that run's evidence must not be overwritten.
func (f fault) test(t *testing.T) {
	t.Helper()
	before := finished(t)
	for n := range f.runs(t) {
		if ledger.Succeeded(before, t.Name(), n) || !claimed(t, n) {
			continue
		}
		name := t.Name()
		if !t.Run(strconv.Itoa(n), func(t *testing.T) { f.once(t, name, n) }) {
			return
		}
	}
}

func (f fault) once(t *testing.T, name string, n int) {
	t.Helper()
	r := f.begin(t, name, n)
	r.phase("begun")
	f.inflict(r)
	r.phase("inflicted")
	r.settle()
	r.phase("settled")
	r.end()
}

// begin starts an observer and, unless the fault has its own, a fleet.
func (f fault) begin(t *testing.T, name string, n int) *run {
	t.Helper()
	var s *stage
	if f.lab == nil {
		s = shared.get(t)
	} else {
		s = ownStage(t, *f.lab)
	}
	if err := os.MkdirAll(s.histories(), 0o755); err != nil {
		t.Fatal(err)
	}
	seed := fnv.New64()
	_, _ = seed.Write([]byte(name))
	r := &run{
		Cluster: labtest.Of(t, s.Lab).Within(convergence), stage: s, fault: f, rng: rand.New(rand.NewPCG(seed.Sum64(), uint64(n))),
		began: time.Now(), lap: time.Now(), title: fmt.Sprintf("%s/%d", name, n), entry: ledger.Entry{Fault: name, Run: n},
	}
	s.keeper.take()
	t.Cleanup(func() {
		if t.Failed() {
			r.enter()
			s.recover()
		}
	})
	r.observer = observer.Start(t, s.Lab, r.title, filepath.Join(s.histories(), strings.ReplaceAll(r.title, "/", "-")+".jsonl"))
	t.Cleanup(r.rescue)
	if !f.idle {
		r.makeFleet()
	}
	return r
}

// end deletes the fleet, judges the history and enters the run into the ledger.
func (r *run) end() {
	r.T.Helper()
	r.deleteFleet()
	h := r.observer.Finish()
	r.saved = true
	verdict := checker.Judge(h)
	r.entry.Records, r.entry.Violations, r.entry.Judged, r.entry.Unjudged = len(h.Records), len(verdict.Violations), verdict.Judged, verdict.Unjudged
	for _, violation := range verdict.Violations {
		r.T.Errorf("%s", violation)
	}
	if len(verdict.Violations) > 0 {
		r.Must(os.WriteFile(r.observer.File+".txt", []byte(verdict.Text(h, 30)), 0o644))
	}
	if r.fault.judge != nil {
		r.fault.judge(r, h)
	}
	r.checkExits()
	r.phase("ended")
	r.T.Logf("%d records in %s: %s", len(h.Records), strings.Join(r.phases, ", "), verdict.Summary())
	if r.T.Failed() {
		r.T.Logf("the history: %s", r.observer.File)
		return
	}
	r.enter()
	r.Must(os.Remove(r.observer.File))
}

// rescue saves the history, and its prose, of a run that failed before its end.
func (r *run) rescue() {
	if r.saved || !r.T.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := r.observer.Save(ctx)
	if err == nil {
		err = os.WriteFile(r.observer.File+".txt", []byte(h.Text(0, len(h.Records))), 0o644)
	}
	r.T.Logf("the history: %s (%v)", r.observer.File, err)
}

// enter enters the run into the ledger.
func (r *run) enter() {
	r.T.Helper()
	r.entry.Began, r.entry.Took, r.entry.Failed = r.began, time.Since(r.began), r.T.Failed()
	enter(r.T, r.entry)
}

// phase notes that a part of the run is over, and how long it took.
func (r *run) phase(name string) {
	now := time.Now()
	r.phases = append(r.phases, fmt.Sprintf("%s in %s", name, now.Sub(r.lap).Round(100*time.Millisecond)))
	r.lap = now
}

// checkExits fails the test for programs that exited by themselves, unless the fault makes them.
func (r *run) checkExits() {
	for _, exit := range r.stage.keeper.take() {
		if !expected(exit.Err.Error(), r.fault.exits) {
			r.T.Errorf("%v", exit.Err)
		}
	}
}

// expected reports whether the log of a process contains one of the texts. Its tail may begin with those of its predecessors, which
// do not count.
func expected(log string, texts []string) bool {
	log = strings.ToLower(log[max(strings.LastIndex(log, lab.Starting), 0):])
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(log, text) })
}

// mark places a mark in the history.
func (r *run) mark(kind history.MarkKind, format string, args ...any) {
	r.T.Helper()
	r.observer.Mark(history.Mark{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// during encloses a disturbance of Everynode's programs in marks.
func (r *run) during(what string, disturb func()) {
	r.T.Helper()
	r.mark(history.FaultBegins, "%s", what)
	disturb()
	r.mark(history.FaultEnds, "%s", what)
}

// duringAll encloses a disturbance of the API server itself.
func (r *run) duringAll(what string, disturb func()) {
	r.T.Helper()
	r.observer.Mark(history.Mark{Kind: history.FaultBegins, Everyone: true, Text: what})
	disturb()
	r.mark(history.FaultEnds, "%s", what)
}

// happened fails the test unless its fault happened.
func (r *run) happened(what string, yes bool) {
	r.T.Helper()
	if !yes {
		r.T.Fatalf("the fault did not happen: %s", what)
	}
}

// within waits for something that a fault causes.
func (r *run) within(what string, limit time.Duration, there <-chan struct{}) {
	r.T.Helper()
	select {
	case <-there:
	case <-time.After(limit):
		r.T.Fatalf("not within %s: %s", limit, what)
	}
}

// restart starts a program again that was killed. Its lease is deleted: it would expire, and until then nothing would happen.
func (r *run) restart(component *lab.Component) {
	r.T.Helper()
	r.forgetLease(component.Name())
	ctx, cancel := context.WithTimeout(r.T.Context(), startLimit)
	defer cancel()
	r.Must(component.Restart(ctx))
	r.mark(history.Started, "%s %d", component.Name(), component.PID())
}

func (r *run) forgetLease(name string) {
	r.T.Helper()
	err := r.API.CoordinationV1().Leases(v1alpha1.SystemNamespace).Delete(r.T.Context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		r.T.Fatal(err)
	}
}

// lease reads a program's lease.
func (r *run) lease(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	return r.API.CoordinationV1().Leases(v1alpha1.SystemNamespace).Get(ctx, name, metav1.GetOptions{})
}

// holder returns who holds a lease.
func (r *run) holder(name string) string {
	r.T.Helper()
	var holder string
	r.Eventually("the lease "+name+" has a holder", func(ctx context.Context) (string, error) {
		lease, err := r.lease(ctx, name)
		if err == nil && (lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "") {
			err = errors.New("it has none")
		}
		if err == nil {
			holder = *lease.Spec.HolderIdentity
		}
		return "", err
	})
	return holder
}
