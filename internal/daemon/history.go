package daemon

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The operations of history, besides Create and Delete.
const (
	Keep     Op = "Keep"
	Adopt    Op = "Adopt"
	Release  Op = "Release"
	Renumber Op = "Renumber"
	Relabel  Op = "Relabel" // the pods of a record: they have the current template
	Rename   Op = "Rename"  // the current template: another object has the name that its record would get
)

// The reasons of a HistoryStep.
const (
	ReasonNewTemplate       Reason = "NewTemplate"
	ReasonReplacedTemplate  Reason = "ReplacedTemplate"
	ReasonTemplateReturned  Reason = "TemplateReturned"
	ReasonCurrent           Reason = "Current"
	ReasonWithinLimit       Reason = "WithinLimit"
	ReasonInUse             Reason = "InUse"
	ReasonTerminating       Reason = "Terminating"
	ReasonOrphaned          Reason = "Orphaned"
	ReasonStray             Reason = "Stray"
	ReasonBeyondLimit       Reason = "BeyondLimit"
	ReasonDuplicate         Reason = "Duplicate"
	ReasonRevisionNameTaken Reason = v1alpha1.EventRevisionNameTaken
)

// History is a daemon's present template, and its former ones.
type History struct {
	Content string // of the current template
	Name    string // of a new record of it
	Limit   int    // how many others are kept
	// Replaced is the template that the current one replaces, while cells are waiting for that and it is known.
	Replaced *Replaced
	// Records are those that the daemon controls or may adopt, and any object with the name of a new record.
	Records []Record
	// Met is a record that the API server has shown. The watch may not show it yet: until it is in Records, its number counts.
	Met Record
	// InUse reports whether a revision is a target of the daemon, or one of its pods has it. It is only called
	// when it matters.
	InUse func(revision string) bool
	// Stable is a revision that has become stable and is to be recorded as such; empty if there is none.
	Stable string
	// Forgets: what is stable is no longer recorded, because the daemon has no rollout.
	Forgets bool
	// Notes are what the records of revisions are to have besides that; nil without a rollout.
	Notes []Note
}

// Replaced is a template that has pods and is replaced by another one. Without a record it could not be rolled
// back to.
type Replaced struct {
	Revision string
	Content  string // TemplateID.Content; empty if it is not known
	Name     string // of a new record of it
}

// Recorded reports whether the template has a record of the daemon, of whatever revision, or cannot get one because another object
// has the name.
func (r *Replaced) Recorded(records []Record) bool {
	return r == nil || slices.ContainsFunc(records, func(record Record) bool {
		return record.Name == r.Name || r.records(&record) && !record.Terminating && (record.Holder == Ours || record.Holder == Unowned)
	})
}

// records reports whether a record contains the template.
func (r *Replaced) records(record *Record) bool {
	return record.Revision == r.Revision || r.Content != "" && record.Content == r.Content
}

// HistoryStep is an operation on one ControllerRevision; Reason and Message explain it.
type HistoryStep struct {
	Op      Op
	Record  Record // only its name for Create
	Number  int64  // of Create, Renumber and Promote
	Reason  Reason
	Message string
	// Annotations are the changes of Annotate; an empty value removes one.
	Annotations map[string]string
}

// CurrentRecord returns the record of a template: of several the one with the highest number, as in apps/v1
// (dedupCurHistories). The others are its duplicates.
func CurrentRecord(records []Record, content string) (current *Record, duplicates []Record) {
	for _, record := range slices.SortedFunc(slices.Values(records), older) {
		if record.Content != content || record.Holder == Foreign || record.Holder == Stray || record.Terminating {
			continue
		}
		if current != nil {
			duplicates = append(duplicates, *current)
		}
		current = &record
	}
	return current, duplicates
}

// PlanHistory records the current template under the highest number and deletes the oldest others beyond the
// limit, as apps/v1 does (k8s.io/kubernetes pkg/controller/daemon constructHistory, cleanupHistory). When a
// template comes back, its record gets a new number. A record that is a target, or that a pod has, is not
// deleted, because it is needed for a rollback. The order is: adoption, a replaced template without a record,
// the current template, then the others, oldest first.
func PlanHistory(history History) []HistoryStep {
	current, duplicates := CurrentRecord(history.Records, history.Content)
	var others []Record
	for _, record := range slices.SortedFunc(slices.Values(history.Records), older) {
		if record.Holder != Foreign && (current == nil || record.Name != current.Name) {
			others = append(others, record)
		}
	}
	highest := history.met()
	for i := range others {
		highest = max(highest, others[i].Number)
	}
	var steps []HistoryStep
	if replaced := history.Replaced; !replaced.Recorded(history.Records) {
		highest++
		steps = append(steps, numbered(Create, &Record{Name: replaced.Name, Revision: replaced.Revision}, highest, ReasonReplacedTemplate,
			"pods have revision %s, which is replaced and has no record", replaced.Revision))
	}
	steps = append(steps, history.current(current, highest))
	steps = append(steps, history.others(current, duplicates, others)...)
	steps = append(steps, history.promotions()...)
	steps = append(steps, history.annotations(steps)...)
	slices.SortStableFunc(steps, func(a, b HistoryStep) int { return compareBool(a.Op == Adopt, b.Op == Adopt) })
	return slices.DeleteFunc(steps, func(step HistoryStep) bool { return step.Op == "" })
}

// met returns the number of the record that was met, unless the watch shows it.
func (h *History) met() int64 {
	if slices.ContainsFunc(h.Records, func(record Record) bool { return record.Name == h.Met.Name }) {
		return 0
	}
	return h.Met.Number
}

// older orders records by number; names and UIDs decide ties, so that the choice never depends on the order of
// events.
func older(a, b Record) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}

// current decides about the record of the current template, which is nil if there is none. highest is the
// highest number of all others.
func (h *History) current(record *Record, highest int64) HistoryStep {
	switch {
	case record == nil:
		return h.record(highest + 1)
	case record.Holder == Unowned:
		return adopt(record)
	case record.Number <= highest:
		return numbered(Renumber, record, highest+1, ReasonTemplateReturned, "the DaemonSet has the template of revision %d again", record.Number)
	}
	return step(Keep, record, ReasonCurrent, "it is the current template")
}

// record records a template that has no record yet, unless another object has the name.
func (h *History) record(number int64) HistoryStep {
	at := slices.IndexFunc(h.Records, func(record Record) bool { return record.Name == h.Name })
	switch {
	case at < 0:
		return numbered(Create, &Record{Name: h.Name}, number, ReasonNewTemplate, "the template has no record")
	case h.Records[at].Terminating && h.Records[at].Holder == Foreign:
		return step(Keep, &h.Records[at], ReasonTerminating, "it holds the name until it is gone")
	case h.Records[at].Terminating:
		return HistoryStep{} // reported with the others
	}
	return step(Rename, &h.Records[at], ReasonRevisionNameTaken,
		"ControllerRevision %s is not the record of the DaemonSet's template and has the name of that record; the record gets another name", h.Name)
}

// others decides about all other records, which are sorted. Pods of the current template's duplicates get its
// label first, then the duplicates are deleted: a rollback to one of them would change nothing.
func (h *History) others(current *Record, duplicates, records []Record) []HistoryStep {
	steps := make([]HistoryStep, 0, len(records))
	var counted []*Record
	for i := range records {
		record := &records[i]
		duplicate := slices.ContainsFunc(duplicates, func(other Record) bool { return other.Name == record.Name })
		switch {
		case record.Terminating:
			steps = append(steps, step(Keep, record, ReasonTerminating, "it is terminating"))
		case record.Holder == Stray:
			steps = append(steps, step(Release, record, ReasonStray, "the selector does not match its labels"))
		case duplicate && record.Holder == Ours && current.Holder == Ours:
			steps = append(steps, h.duplicate(record, current))
		default:
			counted = append(counted, record)
		}
	}
	beyond := len(counted) - h.Limit
	for _, record := range counted {
		inUse := beyond > 0 && h.inUse(record)
		drop := beyond > 0 && !inUse
		if drop {
			beyond--
		}
		switch {
		case record.Holder == Unowned:
			steps = append(steps, adopt(record)) // it may be deleted once it is ours
		case drop:
			steps = append(steps, step(Delete, record, ReasonBeyondLimit, "revisionHistoryLimit is %d", h.Limit))
		case inUse:
			steps = append(steps, step(Keep, record, ReasonInUse, "revision %s is a target, or pods have it", record.Revision))
		default:
			steps = append(steps, step(Keep, record, ReasonWithinLimit, "revisionHistoryLimit is %d", h.Limit))
		}
	}
	return steps
}

func (h *History) duplicate(record, current *Record) HistoryStep {
	if record.Revision != current.Revision && h.InUse(record.Revision) {
		return step(Relabel, record, ReasonDuplicate, "its template is recorded as %s too", current.Name)
	}
	if record.Stable > current.Stable && !h.Forgets {
		return numbered(Promote, current, record.Stable, ReasonDuplicate, "its duplicate %s is recorded as stable", record.Name)
	}
	if missing := current.inherits(record); len(missing) > 0 && h.Notes != nil {
		return annotate(current, missing, ReasonDuplicate, "its duplicate %s has them", record.Name)
	}
	return step(Delete, record, ReasonDuplicate, "its template is recorded as %s too", current.Name)
}

func (h *History) inUse(record *Record) bool {
	if h.Replaced != nil && h.Replaced.records(record) {
		return true
	}
	return h.InUse(record.Revision) || record.Content != record.Revision && h.InUse(record.Content)
}

func adopt(record *Record) HistoryStep {
	return step(Adopt, record, ReasonOrphaned, "it has the DaemonSet's labels and no controller")
}

func step(op Op, record *Record, reason Reason, format string, args ...any) HistoryStep {
	return HistoryStep{Op: op, Record: *record, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func numbered(op Op, record *Record, number int64, reason Reason, format string, args ...any) HistoryStep {
	numbered := step(op, record, reason, format, args...)
	numbered.Number = number
	return numbered
}
