package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func noted(annotation, value string) func(*Record) {
	return func(r *Record) { r.Notes = map[string]string{annotation: value} }
}

// What a rollout records is written once, together, and to the newest record of its revision.
func TestNotes(t *testing.T) {
	wave, promoted := v1alpha1.WaveAnnotation, v1alpha1.PromotedAnnotation
	notes := []Note{{"new", wave, "1"}, {"new", promoted, ""}}
	twin := func(r *Record) { r.Name = "d-new-1" }
	tests := map[string]struct {
		history History
		want    []map[string]string
	}{
		"nothing is to be recorded": {History{Records: []Record{record("new", 1)}}, nil},
		"it is not recorded":        {History{Records: []Record{record("new", 1)}, Notes: notes}, []map[string]string{{wave: "1"}}},
		"it is recorded":            {History{Records: []Record{record("new", 1, noted(wave, "1"))}, Notes: notes}, nil},
		"another value":             {History{Records: []Record{record("new", 1, noted(wave, "2"))}, Notes: notes}, []map[string]string{{wave: "1"}}},
		"one is to be removed":      {History{Records: []Record{record("new", 1, noted(promoted, "x"))}, Notes: notes}, []map[string]string{{wave: "1", promoted: ""}}},
		"the record is numbered first": {
			History{Records: []Record{record("new", 1), record("a", 2)}, Notes: notes}, nil,
		},
		"no rollout any more": {
			History{Records: []Record{record("new", 2, noted(wave, "1")), record("a", 1, noted(promoted, "x"))}, Forgets: true},
			[]map[string]string{{promoted: ""}, {wave: ""}},
		},
		"the other one of two has it": {
			History{Records: []Record{record("new", 2, twin), record("new", 1, noted(wave, "1"))}, Notes: []Note{}}, []map[string]string{{wave: "1"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.history.Content, test.history.Name, test.history.Limit = "new", "d-new", 10
			test.history.InUse = func(string) bool { return false }
			var got []map[string]string
			for _, step := range PlanHistory(test.history) {
				if step.Op == Annotate {
					got = append(got, step.Annotations)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("annotations (-want, +got):\n%s", diff)
			}
		})
	}
}

func TestNotesOf(t *testing.T) {
	object := &appsv1.ControllerRevision{}
	object.Annotations = map[string]string{v1alpha1.WaveAnnotation: "1", "other": "x", v1alpha1.PromotedAnnotation: strings.Repeat("a", maxNote+1)}
	r := ObserveRevision(object)
	if r.Note(v1alpha1.WaveAnnotation) != "1" || len(r.Notes) != 1 {
		t.Errorf("notes are %v", r.Notes)
	}
}
