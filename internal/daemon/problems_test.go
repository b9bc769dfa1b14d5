package daemon

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// One cause on many nodes is one line, whatever each node's text calls its pod.
func TestDegradedGroupsNodesByCause(t *testing.T) {
	problems := map[string]Problem{}
	for i := range 200 {
		node := fmt.Sprintf("n%03d", i)
		problems[node] = NewProblem("FailedCreate", fmt.Sprintf("exceeded quota: few, requested: pods=1, used: pods=%d, limited: pods=5", i), "agent-"+node, node)
	}
	problems["n007"] = NewProblem("PodNameTaken", "pod ns/agent-n007: the name is taken", "agent-n007", "n007")
	health := Health{Counters: Counters{Desired: 200}, Problems: problems}
	want := "exceeded quota: few, requested: pods=1, used: pods=0, limited: pods=5 (199 nodes: n000, n001, n002 and 196 more); pod ns/agent-n007: the name is taken (1 node: n007)"
	if got := health.degraded(); got.Message != want || got.Reason != "FailedCreate" {
		t.Errorf("Degraded %s: %q, want %q", got.Reason, got.Message, want)
	}
	// What a quota counts for a node that is not shown is no news.
	problems["n100"] = NewProblem("FailedCreate", "exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=5", "agent-n100", "n100")
	if got := health.degraded(); got.Message != want {
		t.Errorf("the message changed to %q", got.Message)
	}
}

func TestNewProblemFindsOneCause(t *testing.T) {
	tests := map[string]struct {
		a, b Problem
		same bool
	}{
		"names of pod and node":       {NewProblem("R", "node n1 takes no pod p-n1", "n1", "p-n1"), NewProblem("R", "node n2 takes no pod p-n2", "n2", "p-n2"), true},
		"a quota's use":               {NewProblem("R", "exceeded quota: q, requested: a=1, used: a=1,b=2, limited: a=1"), NewProblem("R", "exceeded quota: q, requested: a=1, used: a=9, limited: a=1"), true},
		"another quota":               {NewProblem("R", "exceeded quota: q-1, requested: a=1, used: a=1, limited: a=1"), NewProblem("R", "exceeded quota: q-2, requested: a=1, used: a=1, limited: a=1"), false},
		"another limit":               {NewProblem("R", "exceeded quota: q, requested: a=1, used: a=1, limited: a=1"), NewProblem("R", "exceeded quota: q, requested: a=1, used: a=1, limited: a=2"), false},
		"an empty name is no name":    {NewProblem("R", "x", ""), NewProblem("R", "x"), true},
		"a name is not the whole one": {NewProblem("R", "no x", "n1"), NewProblem("R", "no y", "n2"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if same := test.a.Cause == test.b.Cause; same != test.same {
				t.Errorf("%q and %q: the same cause: %v, want %v", test.a.Cause, test.b.Cause, same, test.same)
			}
		})
	}
}

// A refusal may contain any text: what is reported is bounded, printable and on one line.
func TestDegradedIsBoundedAndPrintable(t *testing.T) {
	long := strings.Repeat("n", 253)
	hostile := map[string]string{
		"megabytes":          strings.Repeat("denied ", 1<<18),
		"one word":           strings.Repeat("x", 3<<20),
		"runes cut in two":   strings.Repeat("é", 1<<20),
		"control characters": "bad\x00\x1b[31mred\r\nnext\tline\u202eesrever\u0085" + strings.Repeat("\n", 5000),
		"not UTF-8":          strings.Repeat("\xff\xfe", 4000),
		"empty":              "",
	}
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			problems := map[string]Problem{}
			for i := range 12 { // each a cause of its own
				problems[fmt.Sprintf("%d%s", i, long[:240])] = NewProblem("FailedCreate", fmt.Sprintf("%d: %s", i, text))
			}
			health := Health{Problems: problems}
			message := health.degraded().Message
			if most := shownText + shownCauses*(shownNodes*253+60) + 60; len(message) > most {
				t.Errorf("%d bytes, at most %d are wanted", len(message), most)
			}
			if !utf8.ValidString(message) || strings.ContainsFunc(message, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is not printable", message)
			}
		})
	}
}

// A text that is too long keeps its beginning and its end.
func TestShorten(t *testing.T) {
	text := "violates PodSecurity " + strings.Repeat("x", 5000) + " connection refused"
	got := Shorten(text, 300)
	if len(got) > 300 || !strings.HasPrefix(got, "violates PodSecurity") || !strings.HasSuffix(got, "connection refused") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	if got := Shorten(" a\n b ", 300); got != "a b" {
		t.Errorf("got %q, want one line", got)
	}
	for limit := range 40 {
		if got := Shorten(strings.Repeat("é", 100), limit+len(ellipsis)); len(got) > limit+len(ellipsis) {
			t.Errorf("limit %d: %d bytes", limit+len(ellipsis), len(got))
		}
	}
}
