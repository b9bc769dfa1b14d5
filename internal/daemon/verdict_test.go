package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Verbs and evidence come and go, and what is recorded follows. Every value acts once, and what is there again changes nothing.
func TestRulings(t *testing.T) {
	crash := &Evidence{Cause: CauseRestarts, Message: "it restarts", Nodes: []string{"n1", "n2"}, Count: 2}
	type look struct {
		abort, retry string
		evidence     *Evidence
	}
	tests := map[string]struct {
		looks   []look
		want    Cause
		returns bool
		writes  int
	}{
		"nothing":                      {looks: []look{{}, {}}},
		"evidence":                     {looks: []look{{evidence: crash}, {evidence: crash}, {}}, want: CauseRestarts, writes: 1},
		"another revision's verbs":     {looks: []look{{abort: "r1", retry: "r1/3"}}},
		"verbs that do not parse":      {looks: []look{{abort: "r2/x", retry: "r2/-1"}, {abort: "/", retry: "r2/1/1"}}},
		"abort":                        {looks: []look{{abort: "r2"}, {abort: "r2"}, {abort: "r2"}}, want: CauseAborted, returns: true, writes: 1},
		"abort of what has failed":     {looks: []look{{evidence: crash}, {abort: "r2"}, {abort: "r2"}}, want: CauseRestarts, returns: true, writes: 2},
		"retry":                        {looks: []look{{evidence: crash}, {retry: "r2/1"}, {retry: "r2/1"}}, writes: 2},
		"retry, and it fails again":    {looks: []look{{evidence: crash}, {retry: "r2/1"}, {retry: "r2/1", evidence: crash}, {retry: "r2/1"}}, want: CauseRestarts, writes: 3},
		"retry, evidence is older":     {looks: []look{{evidence: crash}, {retry: "r2/1", evidence: crash}}, writes: 2},
		"retry twice":                  {looks: []look{{evidence: crash}, {retry: "r2/1"}, {retry: "r2/1", evidence: crash}, {retry: "r2/2"}}, writes: 4},
		"an earlier retry again":       {looks: []look{{retry: "r2/2"}, {evidence: crash}, {retry: "r2/1"}, {retry: "r2/2"}}, want: CauseRestarts, writes: 2},
		"retry before it fails":        {looks: []look{{retry: "r2/1"}, {retry: "r2/1", evidence: crash}}, want: CauseRestarts, writes: 2},
		"abort, retry, both stay":      {looks: []look{{abort: "r2"}, {abort: "r2", retry: "r2/1"}, {abort: "r2", retry: "r2/1"}}, writes: 2},
		"abort, retry, abort again":    {looks: []look{{abort: "r2"}, {abort: "r2", retry: "r2/1"}, {abort: "r2/1", retry: "r2/1"}}, want: CauseAborted, returns: true, writes: 3},
		"both at once":                 {looks: []look{{abort: "r2", retry: "r2/1"}, {abort: "r2", retry: "r2/1"}}, want: CauseAborted, returns: true, writes: 1},
		"a verb that acts twice":       {looks: []look{{abort: "r2"}, {retry: "r2/1"}, {abort: "r2"}}, writes: 2},
		"the annotations are removed":  {looks: []look{{abort: "r2"}, {}, {abort: "r2"}, {}}, want: CauseAborted, returns: true, writes: 1},
		"evidence that was not enough": {looks: []look{{evidence: nil}, {evidence: crash}}, want: CauseRestarts, writes: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			record := &Record{UID: "uid-1", Name: "d-r2", Revision: "r2", Holder: Ours, Content: "c2"}
			writes := 0
			for i, look := range test.looks {
				was, _ := RulingOf(record)
				next := was.Rule("r2", ParseVerb(look.abort), ParseVerb(look.retry), look.evidence, t0.Add(time.Duration(i)*time.Minute))
				for _, note := range was.Notes("r2", &next) {
					writes++
					record.Notes = map[string]string{note.Annotation: note.Value}
				}
			}
			got, _ := RulingOf(record)
			if got.Reason != test.want || got.Returns != test.returns || writes != test.writes {
				t.Errorf("recorded is %+v after %d writes, want reason %q, returns %v, %d writes", got, writes, test.want, test.returns, test.writes)
			}
		})
	}
}

// What names another record, or is not what this package writes, counts as nothing.
func TestRulingsOfOthers(t *testing.T) {
	good := (&Ruling{UID: "uid-1", Reason: CauseImage, Message: "m", Time: "2026-12-01T00:00:00Z"}).text()
	for name, test := range map[string]struct {
		uid  types.UID
		text string
		want Cause
	}{
		"its own":     {"uid-1", good, CauseImage},
		"copied":      {"uid-2", good, CauseNone},
		"no JSON":     {"uid-1", "{", CauseNone},
		"other types": {"uid-1", `{"uid":"uid-1","reason":7}`, CauseNone},
		"empty":       {"uid-1", "", CauseNone},
	} {
		t.Run(name, func(t *testing.T) {
			record := &Record{UID: test.uid, Notes: map[string]string{v1alpha1.VerdictAnnotation: test.text}}
			if got, _ := RulingOf(record); got.Reason != test.want || got.UID != test.uid {
				t.Errorf("got %+v, want reason %q", got, test.want)
			}
		})
	}
	long := &Evidence{Cause: CauseImage, Message: strings.Repeat("x", 9000)}
	for range shownFailed {
		long.Nodes = append(long.Nodes, strings.Repeat("n", 253))
	}
	none := &Ruling{UID: "uid-1"}
	next := none.Rule("r2", Verb{}, Verb{}, long, t0)
	if text := next.text(); len(text) > maxNote || len(next.Nodes) == 0 {
		t.Errorf("a ruling has %d bytes and %d nodes", len(text), len(next.Nodes))
	}
}

// When duplicate records of a template are merged, the verdict of one moves to the other before the first is deleted, and names it.
func TestMergedVerdicts(t *testing.T) {
	ruling := (&Ruling{UID: "uid-1", Reason: CauseRestarts, Retried: "r1/4"}).text()
	old := Record{Name: "d-r1", UID: "uid-1", Number: 1, Revision: "r1", Content: "c", Holder: Ours, Notes: map[string]string{v1alpha1.VerdictAnnotation: ruling}}
	now := Record{Name: "d-r2", UID: "uid-2", Number: 2, Revision: "r2", Content: "c", Holder: Ours}
	plan := func() HistoryStep {
		steps := PlanHistory(History{Content: "c", Name: "d-c", Limit: 10, Records: []Record{old, now}, InUse: func(string) bool { return false }})
		for _, step := range steps {
			if step.Op != Keep {
				return step
			}
		}
		return HistoryStep{}
	}
	step := plan()
	if step.Op != Annotate || step.Record.Name != "d-r2" {
		t.Fatalf("the first step is %+v, want an annotation of d-r2", step)
	}
	now.Notes = step.Annotations
	got, _ := RulingOf(&now)
	if diff := cmp.Diff(Ruling{UID: "uid-2", Reason: CauseRestarts, Retried: "r1/4"}, got); diff != "" {
		t.Errorf("merged (-want, +got):\n%s", diff)
	}
	if step := plan(); step.Op != Delete || step.Record.Name != "d-r1" {
		t.Errorf("then the step is %+v, want the deletion of d-r1", step)
	}
}
