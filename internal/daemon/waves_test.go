package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// waving is a cluster whose rollout has waves. What the model and history do is done here: the mark is kept, and a wave that
// passes is recorded.
type waving struct {
	*rollingOut
	mark     WaveMark
	running  bool
	promotes string // the name of a wave
	outcomes map[string]Outcome
	answer   Answer
	passed   []string
	complete time.Time // since when every node of the open wave has an available pod, without a break
}

func newWaving(t *testing.T, nodes int, strategy Strategy, waves ...v1alpha1.Wave) *waving {
	w := &waving{rollingOut: newRollingOut(t, nodes, strategy), outcomes: map[string]Outcome{}}
	w.set("waves", func(spec *v1alpha1.Rollout) { spec.Order, spec.Waves = []string{"zone"}, waves })
	return w
}

// changes changes the template: the waves begin at the first.
func (w *waving) changes(revision string) {
	w.mark, w.wave, w.running, w.passed = WaveMark{Number: w.mark.Number + 1}, 0, false, nil
	w.template(revision)
}

// edit changes spec.rollout in mid-rollout.
func (w *waving) edit(what string, change func(*v1alpha1.Rollout)) {
	spec := w.spec
	change(&spec)
	hold, err := NewHold(&spec)
	if err != nil {
		w.t.Fatal(err)
	}
	if !hold.same(w.holding) {
		w.wave = hold.Open(w.mark)
	}
	w.set(what, change)
}

// restart forgets all that is not recorded.
func (w *waving) restart() {
	mark, ok := parseMark(w.mark.String())
	if text := w.mark.String(); text != "" && (!ok || mark.String() != text) {
		w.failf("mark %q is read as %q", text, mark.String())
	}
	mark.Number = w.mark.Number
	w.mark, w.running = mark, false
}

// gate lets the open wave pass if it may, and reports whether it did.
func (w *waving) gate() (passes bool) {
	w.t.Helper()
	open := w.holding.Wave(w.wave)
	failure := w.cells.TakeFailure()
	if open == nil || w.stable == w.revision || w.holding.Paused {
		w.answer = Answer{}
		return false
	}
	w.checkWave(open)
	before := w.mark
	gate := Gate{
		Wave: open, Index: w.wave, Revision: w.revision, Complete: w.cells.WaveComplete(), Failure: failure, Running: w.running,
		Promoted: w.promotes == open.Name, Now: w.now, Outcome: func(check string) Outcome { return w.outcomes[check] },
	}
	w.answer = gate.Decide(w.mark)
	if w.mark = w.answer.Mark; w.mark != before && !w.mark.Since.IsZero() && before.Since.IsZero() {
		w.notef("wave %s: all %d nodes have available pods", open.Name, w.cells.Counters().Done)
	}
	w.running = !w.mark.Since.IsZero()
	if !w.answer.Pass {
		return false
	}
	if w.complete.IsZero() || !gate.Promoted && w.now.Sub(w.complete) < 0 {
		w.failf("wave %s passes, and not all nodes have available pods", open.Name)
	}
	w.notef("wave %s has passed", open.Name)
	w.passed = append(w.passed, open.Name)
	w.mark = w.holding.Next(w.mark, w.wave)
	w.wave, w.complete, w.running = w.holding.Open(w.mark), time.Time{}, false
	w.renew()
	w.checkAllowed()
	return true
}

// checkWave holds what the cells say of the open wave to what the nodes have.
func (w *waving) checkWave(open *Wave) {
	w.t.Helper()
	lagging, admitted, all, some := 0, 0, 0, 0
	for _, node := range w.nodes {
		if !w.verdicts[node].ShouldRun {
			continue
		}
		facts := &NodeFacts{Name: node, Labels: w.labels[node]}
		available := slices.ContainsFunc(w.podsOn(node), func(pod *Pod) bool { return pod.Ready && pod.Revision == w.revision })
		state := RolloutState{Hold: w.holding, Wave: w.wave}
		switch is := w.cells.TargetOf(node) == w.revision; {
		case is:
			admitted++
			if !available {
				lagging++
			}
		case w.cells.byNode[node].joins:
		case state.wants(facts) == wantedAll:
			all++
		case state.wants(facts) == wantedTo:
			some++
		}
	}
	size := len(w.nodes)
	if open.nodes != nil {
		size = open.size(w.cells.Counters().Desired)
	}
	complete := w.cells.WaveComplete()
	switch {
	case complete && (lagging > 0 || all > 0 || some > 0 && admitted < size):
		w.failf("wave %s is complete: %d of %d admitted nodes lag, %d and %d more are wanted, its size is %d", open.Name, lagging, admitted, all, some, size)
	case complete && w.complete.IsZero():
		w.complete = w.now
	case !complete:
		w.complete = time.Time{}
	}
}

// settles goes on until nothing happens any more but the end of a soak.
func (w *waving) settles(pick func(int) int) {
	w.t.Helper()
	idle := 0
	for range 10_000 {
		if w.next(pick) || w.gate() || w.promote() {
			idle = 0
			continue
		}
		if idle++; idle > 20 {
			return
		}
	}
	w.failf("it does not come to an end")
}

// waits lets time pass.
func (w *waving) waits(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	w.settles(first)
}

func (w *waving) wantPhase(want v1alpha1.RolloutPhase, why string) {
	w.t.Helper()
	if w.answer.Phase != want || !strings.Contains(w.answer.Why, why) {
		w.t.Errorf("phase %q: %s; want %q: %s\n%s", w.answer.Phase, w.answer.Why, want, why, strings.Join(w.log, "\n"))
	}
}

func nodes(value string) *intstr.IntOrString {
	of := intstr.Parse(value)
	return &of
}

func zone(value string) *v1alpha1.RolloutNodeSelector {
	return &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"zone": value}}
}

var canary = &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"canary": "true"}}

// Three zones, one after the other: the story as a reviewer reads it.
func TestWavesGoldenLog(t *testing.T) {
	w := newWaving(t, 6, unavailable("1"),
		v1alpha1.Wave{Name: "zone-a", NodeSelector: zone("a"), Soak: "10m"},
		v1alpha1.Wave{Name: "zone-b", NodeSelector: zone("b"), MaxUnavailable: nodes("2")},
		v1alpha1.Wave{Name: "zone-c", NodeSelector: zone("c"), Approval: true})
	w.changes("r2")
	w.settles(first)
	w.notef("%s: %s", w.answer.Phase, w.answer.Why)
	w.joins(map[string]string{"zone": "c"})
	w.waits(9 * time.Minute)
	w.notef("%s: %s", w.answer.Phase, w.answer.Why)
	w.waits(time.Minute + time.Second)
	w.notef("%s: %s", w.answer.Phase, w.answer.Why)
	w.notef("promote zone-c")
	w.promotes = "zone-c"
	w.settles(first)
	wantLog(t, "waves-zones", w.log)
}

// Waves are cumulative: updated nodes count first, and after the last one all remaining nodes are updated.
func TestWavesByNumber(t *testing.T) {
	w := newWaving(t, 8, unavailable("2"),
		v1alpha1.Wave{Name: "canary", NodeSelector: canary, Approval: true}, // n0 and n4
		v1alpha1.Wave{Name: "three", Nodes: nodes("3"), Approval: true},
		v1alpha1.Wave{Name: "half", Nodes: nodes("50%"), Approval: true})
	w.changes("r2")
	w.settles(first)
	w.wantUpdated("n0", "n4")
	w.wantPhase(v1alpha1.RolloutAwaitingApproval, "r2/canary")
	w.promotes = "canary"
	w.settles(first)
	w.wantUpdated("n0", "n3", "n4")
	w.promotes = "three"
	w.settles(first)
	w.wantUpdated("n0", "n3", "n4", "n6") // in the order of zones: n3 and n6 are in a
	for _, node := range []string{"n0", "n4"} {
		w.dies(node, 0)
	}
	w.settles(first)
	w.wantUpdated("n0", "n3", "n4", "n6")
	w.promotes = "half"
	w.settles(first)
	if w.stable != "r2" {
		t.Errorf("%s is stable, want r2", w.stable)
	}
}

// A soak counts the time in which every node of the wave has an available pod. A pod that is evicted stops the clock; one that
// fails has it begin again; a restart does not shorten it.
func TestSoak(t *testing.T) {
	soaking := func(t *testing.T) *waving {
		w := newWaving(t, 4, unavailable("1"), v1alpha1.Wave{Name: "two", Nodes: nodes("2"), Soak: "10m"})
		w.changes("r2")
		w.settles(first)
		w.wantPhase(v1alpha1.RolloutSoaking, "two")
		w.now = w.mark.Since.Add(6 * time.Minute)
		return w
	}
	failing := func(w *waving) {
		pod := w.podsOn(w.updated()[0])[0]
		pod.Ready = false
		w.observe(pod)
		w.gate()
		w.now = w.now.Add(time.Minute)
		w.gate()
		w.ready(pod)
		w.settles(first)
	}
	away := func(w *waving) {
		w.dies(w.updated()[0], 0)
		w.gate()
		w.now = w.now.Add(time.Minute)
		w.settles(first)
	}
	tests := map[string]struct {
		happens func(*waving)
		more    time.Duration // of the soak
	}{
		"nothing":                       {func(*waving) {}, 4 * time.Minute},
		"a restart":                     {(*waving).restart, 4 * time.Minute},
		"a pod is evicted":              {away, 4 * time.Minute},
		"a pod fails":                   {failing, 10 * time.Minute},
		"a pod fails, and a restart":    {func(w *waving) { failing(w); w.restart() }, 10 * time.Minute},
		"a restart while one is absent": {func(w *waving) { w.dies(w.updated()[0], 0); w.restart(); w.gate(); w.settles(first) }, 10 * time.Minute},
		"a pause":                       {func(w *waving) { w.set("pause", pause); w.settles(first); w.set("resume", resume) }, 4 * time.Minute},
		"an edit":                       {func(w *waving) { w.edit("order", func(spec *v1alpha1.Rollout) { spec.Order = nil }) }, 4 * time.Minute},
		"the soak becomes shorter":      {func(w *waving) { w.edit("soak", func(spec *v1alpha1.Rollout) { spec.Waves[0].Soak = "8m" }) }, 2 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := soaking(t)
			test.happens(w)
			w.gate()
			w.wantPhase(v1alpha1.RolloutSoaking, "two")
			if rest := w.answer.At.Sub(w.now); rest > test.more || rest < test.more-time.Minute { // settling takes some time
				t.Errorf("it soaks for %s more, want %s\n%s", rest, test.more, strings.Join(w.log, "\n"))
			}
			if w.now = w.answer.At.Add(-time.Second); w.gate() {
				t.Error("the wave passes before the soak ends")
			}
			if w.now = w.now.Add(time.Second); !w.gate() {
				t.Error("the wave does not pass when the soak ends")
			}
			if w.settles(first); w.stable != "r2" {
				t.Errorf("%s is stable after the soak, want r2\n%s", w.stable, strings.Join(w.log, "\n"))
			}
		})
	}
}

// Checks are what others report, and a promotion ends all that a wave waits for but its nodes.
func TestChecks(t *testing.T) {
	w := newWaving(t, 4, unavailable("1"), v1alpha1.Wave{Name: "one", Nodes: nodes("1"), Soak: "10m", Checks: []string{"smoke", "load"}, Approval: true},
		v1alpha1.Wave{Name: "two", Nodes: nodes("2"), Soak: "1h", Checks: []string{"smoke"}})
	w.changes("r2")
	w.settles(first)
	w.wantPhase(v1alpha1.RolloutSoaking, "")
	w.outcomes["load"] = Failed
	w.settles(first)
	w.wantPhase(v1alpha1.RolloutHeld, "check load of wave one has failed")
	w.waits(11 * time.Minute)
	w.wantPhase(v1alpha1.RolloutHeld, "check load of wave one has failed")
	w.outcomes["load"] = Passed
	w.settles(first)
	w.wantPhase(v1alpha1.RolloutHeld, "waits for check smoke")
	w.outcomes["smoke"] = Passed
	w.settles(first)
	w.wantPhase(v1alpha1.RolloutAwaitingApproval, "everynode.dev/promote: r2/one")
	w.promotes = "one"
	w.settles(first)
	w.wantUpdated("n0", "n3")
	w.mark.All = true
	w.settles(first)
	if w.stable != "r2" {
		t.Errorf("%s is stable, want r2", w.stable)
	}
}

// What other fields leave out of a wave keeps it open.
func TestWavesAndOtherFields(t *testing.T) {
	tests := map[string]struct {
		field, opens func(*v1alpha1.Rollout)
		updated      []string
	}{
		"a partition":     {partition("6"), partition("5"), []string{"n0", "n3"}},
		"a node selector": {canaries, everyNode, []string{"n0", "n4"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWaving(t, 8, unavailable("2"), v1alpha1.Wave{Name: "all-of-a", NodeSelector: zone("a")}, v1alpha1.Wave{Name: "most", Nodes: nodes("7"), Approval: true})
			if name == "a node selector" {
				w.edit("waves", func(spec *v1alpha1.Rollout) { spec.Waves = []v1alpha1.Wave{{Name: "all-of-a", Nodes: nodes("4")}} })
			}
			w.set(name, test.field)
			w.changes("r2")
			w.settles(first)
			w.wantUpdated(test.updated...)
			if w.wave != 0 {
				t.Errorf("wave %d is open, want the first", w.wave)
			}
			w.edit("no longer", test.opens)
			w.settles(first)
			if w.wave == 0 {
				t.Error("the first wave is still open")
			}
		})
	}
}

// Edits of the waves in mid-rollout: the open wave is found by its name, else by its place; without waves nothing is held.
func TestWavesChange(t *testing.T) {
	one, two, three := v1alpha1.Wave{Name: "one", Nodes: nodes("1"), Approval: true}, v1alpha1.Wave{Name: "two", Nodes: nodes("2"), Approval: true},
		v1alpha1.Wave{Name: "three", Nodes: nodes("3"), Approval: true}
	tests := map[string]struct {
		waves   []v1alpha1.Wave
		open    int
		updated int
	}{
		"the same":               {[]v1alpha1.Wave{one, two, three}, 1, 2},
		"one before it":          {[]v1alpha1.Wave{{Name: "zero", Nodes: nodes("1"), Approval: true}, one, two, three}, 2, 2},
		"the first is removed":   {[]v1alpha1.Wave{two, three}, 0, 2},
		"it is removed":          {[]v1alpha1.Wave{one, three}, 1, 3},
		"all after the first":    {[]v1alpha1.Wave{one}, 1, 6},
		"all":                    {nil, 0, 6},
		"it is larger":           {[]v1alpha1.Wave{one, {Name: "two", Nodes: nodes("5"), Approval: true}}, 1, 5},
		"it is smaller than now": {[]v1alpha1.Wave{one, {Name: "two", Nodes: nodes("1"), Approval: true}}, 1, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWaving(t, 6, unavailable("1"), one, two, three)
			w.changes("r2")
			w.promotes = "one"
			w.settles(first)
			w.edit("waves", func(spec *v1alpha1.Rollout) { spec.Waves = test.waves })
			w.settles(first)
			if got := len(w.updated()); w.wave != test.open || got != test.updated {
				t.Errorf("wave %d is open with %d updated nodes, want wave %d with %d", w.wave, got, test.open, test.updated)
			}
		})
	}
}

// Another template begins at the first wave, with the nodes of the abandoned one; the stable one has no waves.
func TestWavesAndAnotherTemplate(t *testing.T) {
	w := newWaving(t, 6, unavailable("1"), v1alpha1.Wave{Name: "one", Nodes: nodes("1"), Approval: true}, v1alpha1.Wave{Name: "two", Nodes: nodes("3"), Approval: true})
	w.changes("r2")
	w.promotes = "one"
	w.settles(first)
	w.wantUpdated("n0", "n1", "n3")
	w.promotes = ""
	w.set("no order", func(spec *v1alpha1.Rollout) { spec.Order = []string{"canary"} }) // without, n2 would come first
	w.changes("r3")
	w.settles(first)
	w.wantUpdated("n1")
	wantRevisions(t, w.cluster, map[string]string{"n0": "r1", "n1": "r3", "n2": "r1", "n3": "r1", "n4": "r1", "n5": "r1"})
	w.changes("r1")
	w.settles(first)
	w.done()
}

// Which revision a node starts with that joins.
func TestNewNodesInWaves(t *testing.T) {
	tests := map[string]struct {
		newNodes v1alpha1.NewNodes
		wave     v1alpha1.Wave
		want     string
	}{
		"auto, some nodes":   {"", v1alpha1.Wave{Nodes: nodes("50%")}, "r1"},
		"auto, a selector":   {"", v1alpha1.Wave{NodeSelector: zone("a")}, "r1"},
		"auto, all nodes":    {"", v1alpha1.Wave{Nodes: nodes("100%")}, "r2"},
		"stable, all nodes":  {"Stable", v1alpha1.Wave{Nodes: nodes("100%")}, "r1"},
		"update, some nodes": {"Update", v1alpha1.Wave{Nodes: nodes("1")}, "r2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.wave.Name, test.wave.Approval = "w", true
			w := newWaving(t, 4, unavailable("1"), test.wave)
			w.edit("new nodes", newNodes(test.newNodes))
			w.changes("r2")
			if got := w.joins(map[string]string{"zone": "z"}); got != test.want {
				t.Errorf("the node starts with %q, want %s", got, test.want)
			}
		})
	}
}

// What may happen in waves happens in any order. No node is admitted before its wave is open, none leaves the allowed set, the
// limits hold, and everything is updated in the end.
func TestWavesWithChurn(t *testing.T) {
	sets := [][]v1alpha1.Wave{
		{{Name: "one", Nodes: nodes("1"), Soak: "5m"}, {Name: "half", Nodes: nodes("50%")}, {Name: "all", Nodes: nodes("100%"), Soak: "1m"}},
		{{Name: "canary", NodeSelector: canary}, {Name: "a", NodeSelector: zone("a"), Nodes: nodes("3")}, {Name: "b", NodeSelector: zone("b"), Soak: "3m"}},
		{{Name: "two", Nodes: nodes("2"), NodeSelector: canary, Approval: true}, {Name: "rest", Nodes: nodes("60%"), MaxUnavailable: nodes("1")}},
		nil,
	}
	for name, strategy := range strategies {
		for _, seed := range []uint64{1, 2, 3, 4, 5, 6, 7, 8, uint64(time.Now().UnixNano())} {
			t.Run(fmt.Sprintf("%s/seed %d", name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 9))
				w := newWaving(t, 8, strategy, sets[seed%3]...)
				w.changes("r2")
				for range 150 {
					w.churns(random, sets)
					w.checkTargets()
					w.checkAllowed()
					w.next(random.IntN)
					w.gate()
					w.promote()
				}
				w.edit("nothing is held but by waves", func(spec *v1alpha1.Rollout) { *spec = v1alpha1.Rollout{Waves: spec.Waves} })
				for range 40 {
					w.settles(random.IntN)
					w.mark.All = true
					w.now = w.now.Add(time.Minute)
				}
				if w.stable != w.revision {
					w.failf("%s is stable, want %s", w.stable, w.revision)
				}
				if wrong := w.cells.Audit(w.now); len(wrong) > 0 {
					w.failf("the audit finds %q", wrong)
				}
			})
		}
	}
}

func (w *waving) churns(random *rand.Rand, sets [][]v1alpha1.Wave) {
	node := w.nodes[random.IntN(len(w.nodes))]
	switch random.IntN(20) {
	case 0, 1, 2:
		w.dies(node, random.IntN(3))
	case 3:
		w.joins(map[string]string{"canary": fmt.Sprint(random.IntN(2) == 0), "zone": "a"})
	case 4:
		if len(w.nodes) > 3 {
			w.leave(node)
			delete(w.allowed, node)
		}
	case 5:
		w.edit("a partition", partition([]string{"0", "0", "3", "30%"}[random.IntN(4)]))
	case 6:
		w.edit("pause", []func(*v1alpha1.Rollout){pause, resume, resume}[random.IntN(3)])
	case 7:
		waves := sets[random.IntN(len(sets))]
		w.edit("waves", func(spec *v1alpha1.Rollout) { spec.Waves = waves })
	case 8:
		if revision := []string{"r1", "r2", "r3"}[random.IntN(3)]; revision != w.revision {
			w.changes(revision)
		}
	case 9:
		w.labels[node] = maps.Clone(w.labels[node])
		w.labels[node][[]string{"canary", "zone"}[random.IntN(2)]] = []string{"true", "a", "b"}[random.IntN(3)]
		w.cells.Retarget(node, w.now)
		if w.cells.TargetOf(node) != w.revision && !w.has(node) {
			delete(w.allowed, node)
		}
	case 10:
		w.turn(node, []Verdict{eligible, noSchedule}[random.IntN(2)])
	case 11, 12:
		w.restart()
	case 13:
		w.promotes = []string{"", "one", "two", "canary"}[random.IntN(4)]
	default:
		w.now = w.now.Add(time.Duration(random.IntN(120)) * time.Second)
	}
}

func TestNewWaves(t *testing.T) {
	one := nodes("1")
	tests := map[string]struct {
		waves []v1alpha1.Wave
		want  string
	}{
		"none":                     {nil, ""},
		"all fields":               {[]v1alpha1.Wave{{Name: "a", Nodes: one, NodeSelector: canary, MaxUnavailable: nodes("10%"), Soak: "168h", Checks: []string{"c"}, Approval: true}}, ""},
		"no nodes":                 {[]v1alpha1.Wave{{Name: "a"}}, "spec.rollout.waves[0]: wave a needs"},
		"nodes 0":                  {[]v1alpha1.Wave{{Name: "a", Nodes: nodes("0")}}, ".nodes must be"},
		"nodes 0%":                 {[]v1alpha1.Wave{{Name: "a", Nodes: nodes("0%")}}, ".nodes must be"},
		"nodes 101%":               {[]v1alpha1.Wave{{Name: "a", Nodes: nodes("101%")}}, ".nodes must be"},
		"maxUnavailable 0":         {[]v1alpha1.Wave{{Name: "a", Nodes: one, MaxUnavailable: nodes("0")}}, ".maxUnavailable must be"},
		"no name":                  {[]v1alpha1.Wave{{Nodes: one}}, ".name must be"},
		"a name twice":             {[]v1alpha1.Wave{{Name: "a", Nodes: one}, {Name: "a", Nodes: one}}, "spec.rollout.waves[1].name"},
		"a long soak":              {[]v1alpha1.Wave{{Name: "a", Nodes: one, Soak: "169h"}}, ".soak must be"},
		"no duration":              {[]v1alpha1.Wave{{Name: "a", Nodes: one, Soak: "a while"}}, ".soak must be"},
		"too many checks":          {[]v1alpha1.Wave{{Name: "a", Nodes: one, Checks: []string{"a", "b", "c", "d", "e"}}}, ".checks must be"},
		"a check without a name":   {[]v1alpha1.Wave{{Name: "a", Nodes: one, Checks: []string{""}}}, ".checks must be"},
		"too many waves":           {make([]v1alpha1.Wave, 17), "at most 16"},
		"a selector that is wrong": {[]v1alpha1.Wave{{Name: "a", NodeSelector: &v1alpha1.RolloutNodeSelector{MatchExpressions: []v1alpha1.RolloutNodeRequirement{{Key: "k", Operator: "Is"}}}}}, ".nodeSelector"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newWaves(test.waves)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// Percentages of a wave round up: it has at least one node, if there is one.
func TestWaveSize(t *testing.T) {
	for desired := range 60 {
		for percent := 1; percent <= 100; percent++ {
			wave := Wave{nodes: nodes(fmt.Sprintf("%d%%", percent))}
			if got := wave.size(desired); got > desired || got == 0 && desired > 0 || got*100 < desired*percent || (got-1)*100 >= desired*percent && got > 0 {
				t.Fatalf("%d%% of %d nodes are %d", percent, desired, got)
			}
		}
	}
}

// What was recorded is only valid as long as the daemon had no other template since.
func TestMarkOf(t *testing.T) {
	at := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	mark := WaveMark{Number: 2, Index: 1, Name: "half", Since: at, Soaked: time.Minute, All: true}
	recorded := noted(v1alpha1.WaveAnnotation, mark.String())
	tests := map[string]struct {
		records []Record
		want    WaveMark
	}{
		"nothing":                   {nil, WaveMark{}},
		"no record":                 {[]Record{record("a", 1)}, WaveMark{}},
		"not recorded":              {[]Record{record("new", 2)}, WaveMark{Number: 2}},
		"recorded":                  {[]Record{record("new", 2, recorded), record("a", 1)}, mark},
		"another template is later": {[]Record{record("new", 2, recorded), record("a", 3)}, WaveMark{Number: 2}},
		"the template came back":    {[]Record{record("new", 4, recorded), record("a", 3)}, WaveMark{Number: 4}},
	}
	for _, text := range []string{"1", "x/half number=2", "-1/half number=2", "17/half number=2", "1/half number=x", "1/half number=2 since=now", "1/half number=2 soaked=-1s"} {
		tests[text] = struct {
			records []Record
			want    WaveMark
		}{[]Record{record("new", 2, noted(v1alpha1.WaveAnnotation, text))}, WaveMark{Number: 2}}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, MarkOf(test.records, "new")); diff != "" {
				t.Errorf("mark (-want, +got):\n%s", diff)
			}
		})
	}
}

// An admitted node that is blocked, or not eligible for a while, stays admitted when a wave passes.
func TestAdmittedNodesStay(t *testing.T) {
	w := newWaving(t, 4, unavailable("1"), v1alpha1.Wave{Name: "two", Nodes: nodes("2")}, v1alpha1.Wave{Name: "three", NodeSelector: zone("b"), Approval: true})
	w.changes("r2")
	w.admit()
	w.turn("n0", noSchedule)
	w.settles(first)
	if got := w.cells.TargetOf("n0"); w.wave != 1 || got != "r2" {
		t.Errorf("wave %d is open, and the target of n0 is %s", w.wave, got)
	}
}
