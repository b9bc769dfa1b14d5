package daemon

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A rollout records on the ControllerRevision of a revision what must survive a restart and the loss of the status: as
// annotations, each of which one part of this package reads and writes. A value that does not parse counts as none. All of them
// are removed with spec.rollout.

// noteAnnotations are those, besides the annotation of what is stable.
var noteAnnotations = []string{v1alpha1.WaveAnnotation, v1alpha1.PromotedAnnotation}

// maxNote bounds the value of a note: anybody who may write ControllerRevisions may have written it.
const maxNote = 512

// RecordAnnotations are the annotations of a ControllerRevision that rollouts read. Others need not be kept.
func RecordAnnotations() []string {
	return append([]string{v1alpha1.StableAnnotation}, noteAnnotations...)
}

// Note is a value that an annotation of a revision's record is to have; if it is empty, none.
type Note struct {
	Revision, Annotation, Value string
}

// Annotate sets or removes annotations of a record: notes.
const Annotate Op = "Annotate"

// Reasons of notes.
const ReasonRollout Reason = "Rollout"

// notesOf reads the notes of a record; nil if it has none, as nearly all have.
func notesOf(object metav1.Object) (notes map[string]string) {
	annotations := object.GetAnnotations()
	for _, name := range noteAnnotations {
		if value := annotations[name]; value != "" && len(value) <= maxNote {
			if notes == nil {
				notes = map[string]string{}
			}
			notes[name] = value
		}
	}
	return notes
}

// Note returns the value of an annotation of a record; empty if it has none.
func (r *Record) Note(annotation string) string { return r.Notes[annotation] }

// NewestOf returns the record that the daemon has of a revision, the last one if it has several; nil if it has none.
func NewestOf(records []Record, revision string) (newest *Record) {
	for _, record := range slices.SortedFunc(slices.Values(records), older) {
		if record.holdsTemplate() && record.Revision == revision {
			newest = &record
		}
	}
	return newest
}

// annotations returns the steps that give records their notes, one for each record without one of them. A record that another step
// changes gets them after that: a patch is one of a known state.
func (h *History) annotations(others []HistoryStep) (steps []HistoryStep) {
	changes := func(name string) bool {
		return slices.ContainsFunc(others, func(step HistoryStep) bool { return step.Record.Name == name && step.Op != Keep })
	}
	for _, record := range slices.SortedFunc(slices.Values(h.Records), older) {
		if record.Holder != Ours || record.Terminating || changes(record.Name) {
			continue
		}
		change := map[string]string{}
		if h.Forgets {
			for name := range record.Notes {
				change[name] = ""
			}
		} else if newest := NewestOf(h.Records, record.Revision); newest != nil && newest.Name == record.Name {
			for _, note := range h.Notes {
				if note.Revision == record.Revision && record.Note(note.Annotation) != note.Value {
					change[note.Annotation] = note.Value
				}
			}
		}
		if len(change) > 0 {
			steps = append(steps, annotate(&record, change, ReasonRollout, "the state of its rollout changes"))
		}
	}
	return steps
}

// inherits returns the notes of a duplicate that the record which stays does not have.
func (r *Record) inherits(duplicate *Record) map[string]string {
	missing := maps.Clone(duplicate.Notes)
	maps.DeleteFunc(missing, func(name, _ string) bool { return r.Note(name) != "" })
	return missing
}

func annotate(record *Record, change map[string]string, reason Reason, format string, args ...any) HistoryStep {
	return HistoryStep{Op: Annotate, Record: *record, Annotations: change, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
