package simulation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/test/faults/history"
)

// number returns a number of the environment.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text, set := os.LookupEnv(variable)
	if !set || text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// histories are the kinds of histories that seeds determine: how they are made, and one of how many of make simulate's seeds is tried.
var histories = map[string]struct {
	of    func(seed uint64) *Run
	share uint64
}{
	"random": {Random, 1},
	"edited": {Edited, 10},
	"held":   {Held, 5},
	"deaths": {Deaths, 5},
}

// Random histories violate no invariant. make simulate SEEDS=… runs more of them, from FROM on.
func TestRandomHistories(t *testing.T) { violatesNothing(t, "random") }

// violatesNothing runs seeds of a kind on all processors.
func violatesNothing(t *testing.T, kind string) {
	t.Helper()
	histories := histories[kind]
	seeds, from, start := max(1, number(t, "EVERYNODE_SEEDS", 500)/histories.share), number(t, "EVERYNODE_FROM", 0), time.Now()
	var next, failed atomic.Uint64
	t.Run("seeds", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1) - 1; n < seeds; n = next.Add(1) - 1 {
					if run := histories.of(from + n); len(run.Violations) > 0 {
						report(t, from+n, run, failed.Add(1), fmt.Sprintf("make simulate KIND=%s SEED=%d", kind, from+n))
					}
				}
			})
		}
	})
	took := time.Since(start)
	t.Logf("%d seeds, %d with violations, in %v: %v of %d processors for each", seeds, failed.Load(), took.Round(time.Millisecond),
		(took / time.Duration(seeds)).Round(10*time.Microsecond), runtime.GOMAXPROCS(0))
}

// report reports a seed, and the histories of the first few.
func report(t *testing.T, seed uint64, run *Run, failed uint64, again string) {
	t.Helper()
	t.Errorf("seed %d: %s\n%s runs it again and prints its history", seed, strings.Join(run.Violations, "\n"), again)
	const printed = 2
	if failed <= printed {
		t.Logf("the history of seed %d:\n%s", seed, run.Text())
	}
}

// make simulate SEED=… KIND=… runs one seed and prints its history.
func TestSeed(t *testing.T) {
	if os.Getenv("EVERYNODE_SEED") == "" {
		t.Skip("make simulate SEED=…")
	}
	kind, known := histories[cmp.Or(os.Getenv("EVERYNODE_KIND"), "random")]
	if !known {
		t.Fatalf("KIND must be one of %v", slices.Sorted(maps.Keys(histories)))
	}
	run := kind.of(number(t, "EVERYNODE_SEED", 0))
	run.Tell(os.Stdout)
	if len(run.Violations) > 0 {
		t.Error(strings.Join(run.Violations, "\n"))
	}
}

// A history depends only on the seed: every request, every change and every step is the same, byte for byte, on any
// number of processors; another seed gives another history.
func TestHistoryDependsOnlyOnTheSeed(t *testing.T) {
	if before := runtime.GOMAXPROCS(0); before < 4 {
		runtime.GOMAXPROCS(4)
		defer runtime.GOMAXPROCS(before)
	}
	seen := map[string]uint64{}
	for seed := range uint64(12) {
		first, second := everything(t, Random(seed)), everything(t, Random(seed))
		if first != second {
			t.Errorf("two histories of seed %d differ: %s", seed, difference(first, second))
		}
		if other, twice := seen[first]; twice {
			t.Errorf("seeds %d and %d have one history", other, seed)
		}
		seen[first] = seed
	}
}

// everything returns a run with all that was sent and stored.
func everything(t *testing.T, run *Run) string {
	t.Helper()
	var text bytes.Buffer
	run.Tell(&text)
	for i := range run.History.Records {
		record := &run.History.Records[i]
		parts := []any{record}
		if record.Change != nil {
			parts = append(parts, record.Change.Object)
		}
		if record.Request != nil {
			parts = append(parts, record.Request.Object)
		}
		if err := json.NewEncoder(&text).Encode(parts); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
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

// The scenario is broad: whatever may happen to a cluster, and whatever an engine may ask for, happens in some of few
// histories.
func TestHistoriesAreBroad(t *testing.T) {
	var all []string
	for seed := range uint64(60) {
		all = append(all, Random(seed).lines()...)
	}
	wanted := []string{
		"create pod", "(dry run)", "delete pod", "patch pod", "create controllerrevision", "delete controllerrevision", "patch controllerrevision",
		"update daemonset", "create event", "binding", "AlreadyExists", "Conflict", "Forbidden", "InternalError",
		"terminating", "is killed", "controller a-2 starts", "is stopped by a signal: true", "is frozen: true", "a list follows", "the webhook answers: false",
		"a pod that takes the name", "a pod of ", "another program releases pod", "adds a finalizer", "deletes record", "takes the owner of record", "gates of others", "PriorityClass exists: false", "a policy denies", "a policy confines", "PodDisruptionBudget", "image:3", "maxSurge 2", "minReadySeconds 30", "revisionHistoryLimit 0", "nodeSelector map[pool:0]", "1 tolerations",
		"propagation Background", "propagation Foreground", "propagation Orphan", "without an owner", "a user deletes pod", "app=other",
		"leaves", "dedicated:NoSchedule", "dedicated:NoExecute", "not-ready:NoExecute", "pool=0", "excludes some nodes: true", "OutOfcpu", "is not ready", "a quota permits",
	}
	for _, outcome := range []Outcome{Unreachable, ReplyLost, Conflict, TooManyRequests, InternalError, Timeout} {
		wanted = append(wanted, ": "+string(outcome))
	}
	for _, want := range wanted {
		if !slices.ContainsFunc(all, func(line string) bool { return contains(line, want) }) {
			t.Errorf("no history contains %q", want)
		}
	}
}

func contains(line, want string) bool { return strings.Contains(line, want) }

func (r *Run) lines() []string { return strings.Split(r.Text(), "\n") }

// The judgement of a run fails for controllers that break a rule: the simulation can see it.
func TestJudgementFails(t *testing.T) {
	tests := map[string]struct {
		tamper func(*history.Request)
		want   string
	}{
		"deletes without a UID":       {func(r *history.Request) { r.UID = "" }, "S5"},
		"pods that bypass everything": {func(r *history.Request) { withoutGates(r) }, "S2"},
		"pods for other nodes":        {func(r *history.Request) { elsewhere(r) }, "S3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				c := randomCluster(3 * seed)
				c.tamper = test.tamper
				for _, violation := range c.run().Violations {
					if strings.Contains(violation, test.want) {
						return
					}
				}
			}
			t.Errorf("no history violates %s", test.want)
		})
	}
}

func withoutGates(request *history.Request) {
	if pod, ok := request.Object.(*corev1.Pod); ok {
		pod.Spec.SchedulingGates = nil
	}
}

func elsewhere(request *history.Request) {
	if pod, ok := request.Object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		pod.Spec.NodeName = "n99"
	}
}
