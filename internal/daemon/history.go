package daemon

import (
	"cmp"
	"fmt"
	"slices"
)

// The operations of history, beside Create and Delete.
const (
	Keep     Op = "Keep"
	Adopt    Op = "Adopt"
	Renumber Op = "Renumber"
	Blocked  Op = "Blocked" // nothing can be done about it here
)

// The reasons of a HistoryStep.
const (
	ReasonNewTemplate       Reason = "NewTemplate"
	ReasonTemplateReturned  Reason = "TemplateReturned"
	ReasonCurrent           Reason = "Current"
	ReasonWithinLimit       Reason = "WithinLimit"
	ReasonInUse             Reason = "InUse"
	ReasonTerminating       Reason = "Terminating"
	ReasonOrphaned          Reason = "Orphaned"
	ReasonBeyondLimit       Reason = "BeyondLimit"
	ReasonDuplicate         Reason = "Duplicate"
	ReasonRevisionNameTaken Reason = "RevisionNameTaken"
)

// History is what is known of a daemon's templates, the one it has and those it had.
type History struct {
	Name     string // of the current template's ControllerRevision
	Revision string // of the current template
	Limit    int    // how many others are kept
	// Records are those that the daemon holds or may adopt, and whoever's has the name Name.
	Records []Record
	// InUse says whether the daemon has a pod of a revision. It is only asked where it matters.
	InUse func(revision string) bool
}

// HistoryStep is what to do about one ControllerRevision; Reason and Message say why.
type HistoryStep struct {
	Op      Op
	Record  Record // its name alone for Create
	Number  int64  // of Create and Renumber
	Reason  Reason
	Message string
}

// PlanHistory has the current template recorded under the highest number and the oldest others
// dropped beyond the limit, as apps/v1 does (k8s.io/kubernetes pkg/controller/daemon
// constructHistory, cleanupHistory). A template that comes back gets its record renumbered, not a
// new one. A record that a pod still has is not dropped: it is what to go back to. What is
// adopted comes first, then the current template, then the others, oldest first.
func PlanHistory(history History) []HistoryStep {
	records := slices.SortedFunc(slices.Values(history.Records), older)
	at := slices.IndexFunc(records, func(record Record) bool { return record.Name == history.Name })
	var current *Record
	if at >= 0 {
		found := records[at]
		current, records = &found, slices.Delete(records, at, at+1)
	}
	records = slices.DeleteFunc(records, func(record Record) bool { return record.Holder == Somebody })
	first := history.current(current, records)
	steps := append([]HistoryStep{first}, history.others(records, first.Op == Keep || first.Op == Renumber)...)
	slices.SortStableFunc(steps, func(a, b HistoryStep) int { return compareBool(a.Op == Adopt, b.Op == Adopt) })
	return steps
}

// older orders records by number; names and UIDs settle the rest, so that the choice never
// depends on the order of events.
func older(a, b Record) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}

// current decides about the record of the current template; it is nil when there is none.
func (h *History) current(record *Record, others []Record) HistoryStep {
	highest := int64(0)
	for i := range others {
		highest = max(highest, others[i].Number)
	}
	switch {
	case record == nil:
		return HistoryStep{Create, Record{Name: h.Name}, highest + 1, ReasonNewTemplate, "the template has no record"}
	case record.Terminating:
		return keepOrBlock(Keep, record, ReasonTerminating, "it has the name until it is gone")
	case record.Holder == Somebody:
		return keepOrBlock(Blocked, record, ReasonRevisionNameTaken,
			"ControllerRevision %s is not controlled by this DaemonSet and has the name that its template's record must have: delete it", record.Name)
	case record.Content != h.Revision:
		return keepOrBlock(Blocked, record, ReasonRevisionNameTaken,
			"ControllerRevision %s holds something else than the DaemonSet's template and has the name that the template's record must have: delete it", record.Name)
	case record.Holder == Nobody:
		return adopt(record)
	case record.Number <= highest:
		return HistoryStep{Renumber, *record, highest + 1, ReasonTemplateReturned, fmt.Sprintf("the DaemonSet has the template of revision %d again", record.Number)}
	}
	return keepOrBlock(Keep, record, ReasonCurrent, "it is the current template")
}

// others decides about all other records, which come sorted. Those of the current template under
// another name are dropped once it has its own: to go back to one of them changes nothing.
func (h *History) others(records []Record, recorded bool) []HistoryStep {
	steps := make([]HistoryStep, 0, len(records))
	var counted []*Record
	for i := range records {
		record := &records[i]
		switch {
		case record.Terminating:
			steps = append(steps, keepOrBlock(Keep, record, ReasonTerminating, "it is on its way out"))
		case recorded && record.Holder == Ours && record.Content == h.Revision && !h.inUse(record):
			steps = append(steps, HistoryStep{Delete, *record, 0, ReasonDuplicate, "the current template is recorded as " + h.Name})
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
		case record.Holder == Nobody:
			steps = append(steps, adopt(record)) // it may be dropped once it is ours
		case drop:
			steps = append(steps, HistoryStep{Delete, *record, 0, ReasonBeyondLimit, fmt.Sprintf("revisionHistoryLimit is %d", h.Limit)})
		case inUse:
			steps = append(steps, keepOrBlock(Keep, record, ReasonInUse, "there are pods of revision %s", record.Revision))
		default:
			steps = append(steps, keepOrBlock(Keep, record, ReasonWithinLimit, "revisionHistoryLimit is %d", h.Limit))
		}
	}
	return steps
}

func (h *History) inUse(record *Record) bool {
	return h.InUse(record.Revision) || record.Content != record.Revision && h.InUse(record.Content)
}

func adopt(record *Record) HistoryStep {
	return HistoryStep{Adopt, *record, 0, ReasonOrphaned, "it has the DaemonSet's labels and no controller"}
}

func keepOrBlock(op Op, record *Record, reason Reason, format string, args ...any) HistoryStep {
	return HistoryStep{Op: op, Record: *record, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
