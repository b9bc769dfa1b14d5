package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everynode/everynode/api/v1alpha1"
)

// What is recorded of the open wave: its place and name, since when it soaks, and the number that the record of the update
// revision had. When the template was another one in between, that number is a higher one, and the waves begin at the first.
//
// The clock of a soak begins when every node of the wave has an available pod. While one has none, because it joined or its pod
// was evicted, the clock stops; when a pod fails, it begins again at zero. What is recorded is written before it is relied on:
// a restart makes a soak longer, if anything, and repeats no wave.

// WaveMark is what is recorded of the open wave of a revision.
type WaveMark struct {
	Number int64 // of the record
	Index  int
	Name   string    // empty when all waves have passed
	Since  time.Time // when the clock began, less what it had counted before; zero while it stands
	Soaked time.Duration
	All    bool // promoted: no wave waits for anything but its nodes
}

// String returns the mark as it is recorded: <index>/<name> and fields.
func (m WaveMark) String() string {
	if m == (WaveMark{Number: m.Number, Name: m.Name}) {
		return "" // as in a rollout that begins
	}
	text := fmt.Sprintf("%d/%s number=%d", m.Index, m.Name, m.Number)
	if !m.Since.IsZero() {
		text += " since=" + m.Since.UTC().Format(time.RFC3339)
	}
	if m.Soaked > 0 {
		text += " soaked=" + m.Soaked.String()
	}
	if m.All {
		text += " promoted"
	}
	return text
}

// parseMark parses a recorded mark.
func parseMark(text string) (mark WaveMark, ok bool) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return WaveMark{}, false
	}
	index, name, _ := strings.Cut(fields[0], "/")
	var err error
	if mark.Index, err = strconv.Atoi(index); err != nil || mark.Index < 0 || mark.Index > maxWaves {
		return WaveMark{}, false
	}
	mark.Name = name
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "number":
			mark.Number, err = strconv.ParseInt(value, 10, 64)
		case "since":
			mark.Since, err = time.Parse(time.RFC3339, value)
		case "soaked":
			mark.Soaked, err = time.ParseDuration(value)
		case "promoted":
			mark.All = true
		}
		if err != nil {
			return WaveMark{}, false
		}
	}
	return mark, mark.Soaked >= 0
}

// MarkOf returns the mark of a revision by its records: one of the first wave if nothing valid is recorded, or if the daemon had
// another template since.
func MarkOf(records []Record, revision string) WaveMark {
	record := NewestOf(records, revision)
	if record == nil {
		return WaveMark{}
	}
	later := slices.ContainsFunc(records, func(other Record) bool {
		return other.Number > record.Number && other.holdsTemplate() && other.Content != record.Content
	})
	mark, ok := parseMark(record.Note(v1alpha1.WaveAnnotation))
	if !ok || mark.Number != record.Number || later {
		return WaveMark{Number: record.Number}
	}
	return mark
}

// Open returns the index of the wave that is open by a mark: that of its name, or else of its place. All waves have passed if it
// is that of none.
func (h *Hold) Open(mark WaveMark) int {
	if mark.Name != "" {
		if index := openWave(h.waves, mark.Name); index >= 0 {
			return index
		}
	}
	return min(mark.Index, len(h.waves))
}

// Gate is what decides whether the open wave passes.
type Gate struct {
	Wave     *Wave // nil when none is open
	Index    int
	Revision string // that is rolled out
	Complete bool   // its nodes have available pods
	Failure  bool   // of a pod, since the last time
	Running  bool   // the clock was seen to run by this process
	Promoted bool   // by a verb that was not obeyed before
	Now      time.Time
	Outcome  func(check string) Outcome
}

// Answer is what a gate decides.
type Answer struct {
	Mark  WaveMark
	Pass  bool
	Phase v1alpha1.RolloutPhase // while its nodes have available pods and it does not pass
	Why   string                // in that case
	At    time.Time             // when the soak ends; zero if that is not known
}

// Decide moves the clock of the open wave, and decides whether it passes.
func (g *Gate) Decide(mark WaveMark) Answer {
	mark.Index, mark.Name = g.Index, g.Wave.Name
	if g.Failure {
		mark.Since, mark.Soaked = time.Time{}, 0
	}
	if !g.Complete {
		if !mark.Since.IsZero() && g.Running {
			mark.Soaked = max(0, g.Now.Sub(mark.Since).Truncate(time.Second))
		}
		mark.Since = time.Time{}
		return Answer{Mark: mark}
	}
	if mark.Since.IsZero() {
		mark.Since = g.Now.UTC().Add(time.Second - 1).Truncate(time.Second).Add(-mark.Soaked)
		mark.Soaked = 0
	}
	answer := Answer{Mark: mark}
	if g.Promoted || mark.All {
		answer.Pass = true
		return answer
	}
	end := mark.Since.Add(g.Wave.Soak)
	failed, missing := g.checks()
	switch {
	case failed != "":
		answer.Phase, answer.Why = v1alpha1.RolloutHeld, fmt.Sprintf("check %s of wave %s has failed", failed, g.Wave.Name)
	case end.After(g.Now) && g.Wave.Soak > 0:
		answer.Phase, answer.At = v1alpha1.RolloutSoaking, end
		answer.Why = fmt.Sprintf("wave %s soaks until %s", g.Wave.Name, end.UTC().Format(time.RFC3339))
	case missing != "":
		answer.Phase, answer.Why = v1alpha1.RolloutHeld, fmt.Sprintf("wave %s waits for check %s", g.Wave.Name, missing)
	case g.Wave.Approval:
		answer.Phase = v1alpha1.RolloutAwaitingApproval
		answer.Why = fmt.Sprintf("wave %s waits for the annotation %s: %s/%s", g.Wave.Name, v1alpha1.PromoteAnnotation, g.Revision, g.Wave.Name)
	default:
		answer.Pass = true
	}
	return answer
}

// checks returns the first check of the open wave that has failed, and the first without an outcome.
func (g *Gate) checks() (failed, missing string) {
	for _, check := range g.Wave.Checks {
		switch outcome := g.Outcome(check); {
		case outcome == Failed && failed == "":
			failed = check
		case outcome == NoOutcome && missing == "":
			missing = check
		}
	}
	return failed, missing
}

// Next returns the mark of the wave after one that passes.
func (h *Hold) Next(mark WaveMark, index int) WaveMark {
	next := WaveMark{Number: mark.Number, Index: index + 1, All: mark.All}
	if next.Index < len(h.waves) {
		next.Name = h.waves[next.Index].Name
	}
	return next
}

// Wave returns one of the waves, nil if there is none of the index.
func (h *Hold) Wave(index int) *Wave {
	if index >= len(h.waves) {
		return nil
	}
	return &h.waves[index]
}
