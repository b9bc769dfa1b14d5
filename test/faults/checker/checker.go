package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/everynode/everynode/test/faults/history"
)

// The invariants.
const (
	S1 = "S1"
	S2 = "S2"
	S3 = "S3"
	S4 = "S4"
	S5 = "S5"
	S6 = "S6"
	S7 = "S7"
	S8 = "S8"
	L1 = "L1"
	L2 = "L2"
	L3 = "L3"
	L4 = "L4"
	R1 = "R1"
	E1 = "E1"
)

// Violation is a breach of an invariant.
type Violation struct {
	ID       string
	Index    int // of the record at which it was found
	At       time.Time
	Revision int64  // of the last change before; 0 if there was none
	Key      string // what it is about: a cell, a pod or a client
	Why      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s (record %d, r%d, %s)", v.ID, v.Key, v.Why, v.Index, v.Revision, v.At.UTC().Format("15:04:05.000"))
}

// Verdict is the result of judging a history.
type Verdict struct {
	Violations []Violation
	// Judged counts for each invariant how often it was judged, Unjudged how often a gap made that impossible.
	Judged, Unjudged map[string]int
}

// Judge evaluates a history.
func Judge(h *history.History) *Verdict {
	s := newState(h)
	for i := range h.Records {
		s.step(i)
	}
	s.judgeLoad()
	return s.verdict
}

// Text lists the violations, each with the records before it.
func (v *Verdict) Text(h *history.History, before int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %d violations\n", h.Title, len(v.Violations))
	for _, violation := range v.Violations {
		fmt.Fprintf(&text, "%s\n%s", violation, h.Text(violation.Index-before, violation.Index+1))
	}
	return text.String()
}

// Summary states in one line what was judged.
func (v *Verdict) Summary() string {
	parts := []string{fmt.Sprintf("%d violations", len(v.Violations))}
	for _, id := range slices.Sorted(maps.Keys(v.Judged)) {
		part := fmt.Sprintf("%s judged %d times", id, v.Judged[id])
		if n := v.Unjudged[id]; n > 0 {
			part += fmt.Sprintf(", %d unjudged", n)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// Broke reports whether an invariant is among the violations.
func (v *Verdict) Broke(id string) bool {
	return slices.ContainsFunc(v.Violations, func(violation Violation) bool { return violation.ID == id })
}

func (s *state) judged(id string) { s.verdict.Judged[id]++ }

func (s *state) unjudged(id string) { s.verdict.Unjudged[id]++ }

func (s *state) violated(id, key, format string, args ...any) {
	s.verdict.Violations = append(s.verdict.Violations, Violation{
		ID: id, Index: s.at, At: s.now, Revision: s.revision, Key: key, Why: fmt.Sprintf(format, args...),
	})
}
