package daemon

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Verb is an annotation of a DaemonSet that asks for something once, of one revision: <revision> or <revision>/<argument>. It
// is set by users and never removed by the controller, so whatever is done on its account is recorded (Note), and a value that
// was obeyed does nothing any more. The zero value asks for nothing.
type Verb struct {
	Value    string // as it was set
	Revision string
	Argument string // empty without one
}

// ParseVerb parses the value of an annotation. One that no controller could have meant, such as an empty or a long one, asks
// for nothing.
func ParseVerb(value string) Verb {
	revision, argument, separated := strings.Cut(value, "/")
	if revision == "" || len(revision) > validation.LabelValueMaxLength || len(argument) > validation.LabelValueMaxLength ||
		separated && argument == "" || strings.Contains(argument, "/") {
		return Verb{}
	}
	return Verb{Value: value, Revision: revision, Argument: argument}
}

// PromoteVerb returns what a daemon's annotations ask to promote: with an argument the wave of that name, otherwise all waves.
func (w *Workload) PromoteVerb() Verb { return w.verb(v1alpha1.PromoteAnnotation) }

// verb returns what an annotation of a daemon asks for. A kind without rollouts has no verbs.
func (w *Workload) verb(annotation string) Verb {
	if w.Kind == nil || !w.Kind.RollsOut() {
		return Verb{}
	}
	return ParseVerb(w.Annotations[annotation])
}

// Names reports whether a verb of the daemon's names a revision. Its record is kept: what was obeyed is written there.
func (w *Workload) Names(revision string) bool {
	return w.PromoteVerb().Revision == revision
}

// Outcome is what an external check said of a wave.
type Outcome string

// The outcomes of a check.
const (
	NoOutcome Outcome = ""
	Passed    Outcome = "Passed"
	Failed    Outcome = "Failed"
)

// CheckOutcome returns what an annotation says of a wave of a revision: <revision>/<wave>/Passed or Failed. Whatever else it says
// is no outcome.
func (w *Workload) CheckOutcome(check, revision, wave string) Outcome {
	outcome, found := strings.CutPrefix(w.Annotations[v1alpha1.CheckAnnotationPrefix+check], revision+"/"+wave+"/")
	if is := Outcome(outcome); found && (is == Passed || is == Failed) {
		return is
	}
	return NoOutcome
}
