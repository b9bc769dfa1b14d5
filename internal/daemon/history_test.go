package daemon

import (
	stdcmp "cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// record is ControllerRevision d-<revision>, ours.
func record(revision string, number int64, change ...func(*Record)) Record {
	r := Record{
		Name: RevisionName("d", revision), UID: types.UID("uid-" + revision), Number: number,
		Revision: revision, Content: revision, Holder: Ours,
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func heldBy(holder Holder) func(*Record)   { return func(r *Record) { r.Holder = holder } }
func leaving(r *Record)                    { r.Terminating = true }
func holding(content string) func(*Record) { return func(r *Record) { r.Content = content } }

func describeSteps(steps []HistoryStep) []string {
	var lines []string
	for _, step := range steps {
		line := fmt.Sprintf("%s %s: %s", step.Op, step.Record.Name, step.Reason)
		if step.Number > 0 {
			line = fmt.Sprintf("%s %s as %d: %s", step.Op, step.Record.Name, step.Number, step.Reason)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPlanHistory(t *testing.T) {
	tests := map[string]struct {
		records  []Record
		limit    int
		inUse    []string
		replaces string
		want     []string
	}{
		"the first template": {limit: 10, want: []string{"Create d-new as 1: NewTemplate"}},
		"a new template": {
			records: []Record{record("a", 1), record("b", 2)}, limit: 10,
			want: []string{"Create d-new as 3: NewTemplate", "Keep d-a: WithinLimit", "Keep d-b: WithinLimit"},
		},
		"all is well": {
			records: []Record{record("new", 2), record("a", 1)}, limit: 10,
			want: []string{"Keep d-new: Current", "Keep d-a: WithinLimit"},
		},
		"a template that comes back": {
			records: []Record{record("new", 1), record("b", 2), record("c", 3)}, limit: 10,
			want: []string{"Renumber d-new as 4: TemplateReturned", "Keep d-b: WithinLimit", "Keep d-c: WithinLimit"},
		},
		"a number that two have": {
			records: []Record{record("new", 2), record("a", 2)}, limit: 10,
			want: []string{"Renumber d-new as 3: TemplateReturned", "Keep d-a: WithinLimit"},
		},
		"the oldest go beyond the limit": {
			records: []Record{record("c", 3), record("a", 1), record("b", 2)}, limit: 1,
			want: []string{"Create d-new as 4: NewTemplate", "Delete d-a: BeyondLimit", "Delete d-b: BeyondLimit", "Keep d-c: WithinLimit"},
		},
		"no history at all": {
			records: []Record{record("new", 2), record("a", 1)}, limit: 0,
			want: []string{"Keep d-new: Current", "Delete d-a: BeyondLimit"},
		},
		"a limit that the CRD does not let in": {
			records: []Record{record("new", 2), record("a", 1)}, limit: -1,
			want: []string{"Keep d-new: Current", "Delete d-a: BeyondLimit"},
		},
		"what a pod has stays, and the next oldest goes": {
			records: []Record{record("new", 4), record("a", 1), record("b", 2), record("c", 3)}, limit: 2, inUse: []string{"a"},
			want: []string{"Keep d-new: Current", "Keep d-a: InUse", "Delete d-b: BeyondLimit", "Keep d-c: WithinLimit"},
		},
		"all that pods have stays": {
			records: []Record{record("new", 3), record("a", 1), record("b", 2)}, limit: 0, inUse: []string{"a", "b", "new"},
			want: []string{"Keep d-new: Current", "Keep d-a: InUse", "Keep d-b: InUse"},
		},
		"a pod is of its content, whatever its label": {
			records: []Record{record("new", 2), record("a", 1, func(r *Record) { r.Revision = "forged" })}, inUse: []string{"a"},
			want: []string{"Keep d-new: Current", "Keep d-a: InUse"},
		},
		"one that ends is none of those that are kept": {
			records: []Record{record("new", 3), record("a", 1), record("b", 2, leaving)}, limit: 1,
			want: []string{"Keep d-new: Current", "Keep d-b: Terminating", "Keep d-a: WithinLimit"},
		},
		"a number is not given twice while one ends": {
			records: []Record{record("a", 5, leaving)}, limit: 10,
			want: []string{"Create d-new as 6: NewTemplate", "Keep d-a: Terminating"},
		},
		"the current one ends": {
			records: []Record{record("new", 1, leaving)}, limit: 10,
			want: []string{"Keep d-new: Terminating"},
		},
		"orphans are adopted first, and count": {
			records: []Record{record("a", 1), record("b", 2, heldBy(Unowned)), record("new", 3, heldBy(Unowned))}, limit: 1,
			want: []string{"Adopt d-new: Orphaned", "Adopt d-b: Orphaned", "Delete d-a: BeyondLimit"},
		},
		"an orphan beyond the limit is dropped once it is ours": {
			records: []Record{record("new", 3), record("a", 1, heldBy(Unowned)), record("b", 2)}, limit: 1,
			want: []string{"Adopt d-a: Orphaned", "Keep d-new: Current", "Keep d-b: WithinLimit"},
		},
		"an orphan that a pod has": {
			records: []Record{record("new", 3), record("a", 1, heldBy(Unowned))}, limit: 0, inUse: []string{"a"},
			want: []string{"Adopt d-a: Orphaned", "Keep d-new: Current"},
		},
		"another owner has the name": {
			records: []Record{record("new", 7, heldBy(Foreign)), record("a", 1), record("b", 2)}, limit: 1,
			want: []string{"Rename d-new: RevisionNameTaken", "Delete d-a: BeyondLimit", "Keep d-b: WithinLimit"},
		},
		"the name is another template's": {
			records: []Record{record("new", 1, holding("other"))}, limit: 10,
			want: []string{"Rename d-new: RevisionNameTaken", "Keep d-new: WithinLimit"},
		},
		"the name is that of no template": {
			records: []Record{record("new", 1, holding(""), heldBy(Foreign))}, limit: 10,
			want: []string{"Rename d-new: RevisionNameTaken"},
		},
		"who has the name leaves": {
			records: []Record{record("new", 1, heldBy(Foreign), leaving)}, limit: 10,
			want: []string{"Keep d-new: Terminating"},
		},
		"the current template under another name": {
			records: []Record{record("a", 1, holding("new"))}, limit: 1,
			want: []string{"Keep d-a: Current"},
		},
		"the current template twice": {
			records: []Record{record("new", 3), record("a", 1, holding("new")), record("b", 2)}, limit: 1,
			want: []string{"Keep d-new: Current", "Delete d-a: Duplicate", "Keep d-b: WithinLimit"},
		},
		"of two that are the same the later one stays": {
			records: []Record{record("new", 1), record("a", 3, holding("new")), record("b", 2)}, limit: 1,
			want: []string{"Keep d-a: Current", "Delete d-new: Duplicate", "Keep d-b: WithinLimit"},
		},
		"pods of a duplicate are of the current template": {
			records: []Record{record("new", 2), record("a", 1, holding("new"))}, limit: 1, inUse: []string{"a"},
			want: []string{"Keep d-new: Current", "Relabel d-a: Duplicate"},
		},
		"a duplicate stays until the current one is ours": {
			records: []Record{record("a", 1, holding("new")), record("new", 2, holding("new"), heldBy(Unowned))}, limit: 1,
			want: []string{"Adopt d-new: Orphaned", "Keep d-a: WithinLimit"},
		},
		"one whose labels were changed is let go": {
			records: []Record{record("new", 2), record("a", 1, heldBy(Stray))}, limit: 0,
			want: []string{"Keep d-new: Current", "Release d-a: Stray"},
		},
		"the current one was changed not to be ours": {
			records: []Record{record("new", 2, heldBy(Stray))}, limit: 0,
			want: []string{"Rename d-new: RevisionNameTaken", "Release d-new: Stray"},
		},
		"a template that is replaced is recorded first": {
			records: []Record{record("a", 1)}, limit: 10, replaces: "b",
			want: []string{"Create d-b as 2: ReplacedTemplate", "Create d-new as 3: NewTemplate", "Keep d-a: WithinLimit"},
		},
		"one that is replaced and was deleted by a user": {
			records: []Record{record("new", 2), record("a", 1)}, limit: 10, replaces: "b",
			want: []string{"Create d-b as 2: ReplacedTemplate", "Renumber d-new as 3: TemplateReturned", "Keep d-a: WithinLimit"},
		},
		"one that is replaced is being deleted": {
			records: []Record{record("b", 1, leaving, func(r *Record) { r.Name = "d-b-1" })}, limit: 10, replaces: "b",
			want: []string{"Create d-b as 2: ReplacedTemplate", "Create d-new as 3: NewTemplate", "Keep d-b-1: Terminating"},
		},
		"one that is replaced has a record": {
			records: []Record{record("b", 1, func(r *Record) { r.Name = "d-b-1" })}, limit: 10, replaces: "b",
			want: []string{"Create d-new as 2: NewTemplate", "Keep d-b-1: WithinLimit"},
		},
		"one that is replaced has a record of another revision": {
			records: []Record{record("b", 1, func(r *Record) { r.Name, r.Revision = "d-b-1", "theirs" })}, limit: 0, replaces: "b",
			want: []string{"Create d-new as 2: NewTemplate", "Keep d-b-1: InUse"},
		},
		"one that is replaced and whose name is taken": {
			records: []Record{record("b", 1, heldBy(Foreign))}, limit: 10, replaces: "b",
			want: []string{"Create d-new as 1: NewTemplate"},
		},
		"a record of another owner is not deleted": {
			records: []Record{record("new", 2), record("a", 1, heldBy(Foreign))}, limit: 0,
			want: []string{"Keep d-new: Current"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(test.records)
			got := PlanHistory(History{
				Content: "new", Name: "d-new", Limit: test.limit, Records: test.records, Replaced: replaced(test.replaces),
				InUse: func(revision string) bool { return slices.Contains(test.inUse, revision) },
			})
			if diff := cmp.Diff(test.want, describeSteps(got)); diff != "" {
				t.Errorf("plan (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.records); diff != "" {
				t.Errorf("the records that came in changed:\n%s", diff)
			}
			for _, step := range got {
				if step.Message == "" {
					t.Errorf("%s %s has no message", step.Op, step.Record.Name)
				}
			}
		})
	}
}

func replaced(revision string) *Replaced {
	if revision == "" {
		return nil
	}
	return &Replaced{Revision: revision, Content: revision, Name: RevisionName("d", revision)}
}

// Whether a revision is in use costs a look at the cells; mostly it is not needed.
func TestPlanHistoryAsksOnlyBeyondTheLimit(t *testing.T) {
	PlanHistory(History{
		Content: "new", Name: "d-new", Limit: 2, Records: []Record{record("new", 3), record("a", 1), record("b", 2)},
		InUse: func(revision string) bool { t.Errorf("InUse(%s) was called", revision); return false },
	})
}

// archive is the records of a daemon whose template is current, with what its pods have.
type archive struct {
	current    string
	collisions int
	limit      int
	replaces   string
	records    []Record
	used       []string
}

func (a *archive) plan() []HistoryStep {
	return PlanHistory(History{
		Content: a.current, Name: a.name(), Limit: a.limit, Records: a.records, Replaced: replaced(a.replaces),
		InUse: func(revision string) bool { return slices.Contains(a.used, revision) },
	})
}

// name is what a new record of the current template is called.
func (a *archive) name() string {
	if a.collisions == 0 {
		return "d-" + a.current
	}
	return fmt.Sprintf("d-%s-%d", a.current, a.collisions)
}

// do carries a plan out, as an API server would.
func (a *archive) do(steps []HistoryStep) {
	for _, step := range steps {
		at := slices.IndexFunc(a.records, func(r Record) bool { return r.Name == step.Record.Name })
		switch step.Op {
		case Create:
			made := record(stdcmp.Or(step.Record.Revision, a.current), step.Number)
			made.Name = step.Record.Name
			a.records = append(a.records, made)
		case Renumber:
			a.records[at].Number = step.Number
		case Adopt:
			a.records[at].Holder = Ours
		case Release:
			a.records[at].Holder = Foreign
		case Rename:
			a.collisions++
		case Relabel:
			a.used = slices.DeleteFunc(a.used, func(revision string) bool { return revision == step.Record.Revision })
		case Delete:
			a.records = slices.Delete(a.records, at, at+1)
		}
	}
}

func (a *archive) find(name string) *Record {
	if at := slices.IndexFunc(a.records, func(r Record) bool { return r.Name == name }); at >= 0 {
		return &a.records[at]
	}
	return nil
}

func drawArchive(t *rapid.T) *archive {
	revisions := []string{"a", "b", "c", "e", "f"}
	a := &archive{
		current: rapid.SampledFrom(revisions).Draw(t, "current"),
		limit:   rapid.IntRange(0, 3).Draw(t, "limit"),
		used:    rapid.SliceOfDistinct(rapid.SampledFrom(revisions), rapid.ID).Draw(t, "used"),
	}
	if replaces := rapid.SampledFrom(append(revisions, "")).Draw(t, "replaces"); replaces != a.current {
		a.replaces = replaces
	}
	for _, revision := range rapid.SliceOfNDistinct(rapid.SampledFrom(revisions), 0, 5, rapid.ID).Draw(t, "recorded") {
		r := record(revision, rapid.Int64Range(0, 4).Draw(t, "number"))
		r.Holder = rapid.SampledFrom([]Holder{Ours, Ours, Unowned, Foreign, Stray}).Draw(t, "holder")
		r.Content = rapid.SampledFrom([]string{revision, revision, revision, "a", ""}).Draw(t, "content")
		a.records = append(a.records, r)
	}
	return a
}

// Whatever templates came and went: the current one is recorded once, under the one highest
// number, those that pods have are there, those of others are left alone, no more are kept than
// must be, the order of what was seen does not matter, and after a few passes nothing is left to
// do (L2).
func TestPlanHistoryComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawArchive(t)
		other := *a
		other.records = rapid.Permutation(a.records).Draw(t, "shuffled")
		if diff := cmp.Diff(a.plan(), other.plan()); diff != "" {
			t.Fatalf("the order matters (-one, +other):\n%s", diff)
		}
		started, used := slices.Clone(a.records), slices.Clone(a.used)
		for range 5 { // let go, call otherwise, adopt, then number and label, then drop
			a.do(a.plan())
		}
		for _, step := range a.plan() {
			if step.Op != Keep {
				t.Fatalf("%s %s is left to do: %s", step.Op, step.Record.Name, step.Reason)
			}
		}
		top, duplicates := CurrentRecord(a.records, a.current)
		if top == nil || top.Holder != Ours || len(duplicates) > 0 {
			t.Fatalf("the current template is recorded as %+v and %v", top, duplicates)
		}
		if !replaced(a.replaces).Recorded(a.records) {
			t.Fatalf("revision %s is replaced and has no record", a.replaces)
		}
		others, free := 0, 0
		for i := range a.records {
			r := &a.records[i]
			if r.Name == top.Name || r.Holder == Foreign {
				continue
			}
			others++
			if r.Number >= top.Number {
				t.Fatalf("%s has number %d, the current one %d", r.Name, r.Number, top.Number)
			}
			if !slices.Contains(a.used, r.Revision) && !slices.Contains(a.used, r.Content) && r.Revision != a.replaces && r.Content != a.replaces {
				free++
			}
		}
		if others > a.limit && free > 0 {
			t.Fatalf("%d others are kept, %d of them without need, the limit is %d", others, free, a.limit)
		}
		for _, r := range started {
			foreign := r.Holder == Foreign || r.Holder == Stray
			if a.find(r.Name) == nil && (foreign || r.Content != a.current && slices.Contains(used, r.Revision)) {
				t.Fatalf("%s was dropped: %+v", r.Name, r)
			}
		}
	})
}

func TestCellsHold(t *testing.T) {
	var cells Cells
	if cells.Holds("a") {
		t.Error("no cell holds a")
	}
	cells.SetPod("n1", &Pod{UID: "1", Revision: "a", Terminating: true}, t0)
	cells.SetPod("n2", &Pod{UID: "2", Revision: "b"}, t0)
	cells.SetPod("n2", &Pod{UID: "3", Revision: "c"}, t0)
	for _, revision := range []string{"a", "b", "c"} {
		if !cells.Holds(revision) {
			t.Errorf("revision %s has a pod", revision)
		}
	}
	cells.RemovePod("n1", "1", t0)
	if cells.Holds("a") {
		t.Error("the last pod of a is gone")
	}
}
