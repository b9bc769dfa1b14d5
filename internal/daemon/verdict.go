package daemon

import (
	"cmp"
	"encoding/json"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A verdict is recorded on the record of its revision, by an annotation, so that it survives a restart and the loss of the status:
// the same template stays failed. It names the record by its UID, because annotations are copied. The verbs that were obeyed are
// part of it, so that each of their values acts once.

// Ruling is what is recorded of a revision: a verdict, unless Reason is empty, and the verbs that were obeyed.
type Ruling struct {
	UID     types.UID `json:"uid"` // of the record
	Reason  Cause     `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Nodes   []string  `json:"nodes,omitempty"` // the first ones
	Count   int       `json:"count,omitempty"` // of nodes
	Time    string    `json:"time,omitempty"`  // of the verdict
	// Returns: a user aborted the revision, and every node returns to the stable one, whatever onFailure says.
	Returns bool `json:"returns,omitempty"`
	// Aborted and Retried are the values of the verbs that were obeyed last.
	Aborted string `json:"aborted,omitempty"`
	Retried string `json:"retried,omitempty"`
	Since   string `json:"since,omitempty"` // of the retry: no older evidence counts
}

// The most that a ruling contains, in bytes. All of it has to fit in a note.
const (
	shownVerdict = 400
	shownNodeSum = 1000
)

// RulingOf reads what is recorded on a record. What names another record, or does not parse, counts as nothing.
func RulingOf(record *Record) (of Ruling, text string) {
	text = record.Note(v1alpha1.VerdictAnnotation)
	if text == "" || json.Unmarshal([]byte(text), &of) != nil || of.UID != record.UID {
		return Ruling{UID: record.UID}, ""
	}
	of.Message, of.Reason = Shorten(of.Message, shownVerdict), Cause(Shorten(string(of.Reason), 64))
	of.Nodes = of.Nodes[:min(len(of.Nodes), shownFailed)]
	return of, text
}

// ParseRuling reads a text that RulingOf returned.
func ParseRuling(text string) (of Ruling) {
	if json.Unmarshal([]byte(text), &of) != nil {
		return Ruling{}
	}
	return of
}

// Failed reports whether there is a verdict.
func (r *Ruling) Failed() bool { return r.Reason != CauseNone }

// EvidenceSince is the time before which no evidence counts.
func (r *Ruling) EvidenceSince() time.Time {
	since, err := time.Parse(time.RFC3339, r.Since)
	if err != nil {
		return time.Time{}
	}
	return since
}

// Rule returns what is to be recorded of the update revision while its rollout is open: what verbs of it ask for that was not obeyed,
// and a verdict if there is evidence for one. An abort comes after a retry.
func (r *Ruling) Rule(revision string, abort, retry Verb, evidence *Evidence, now time.Time) Ruling {
	next := *r
	at := now.UTC().Format(time.RFC3339)
	if retry.asks(revision, r.Retried) {
		next = Ruling{UID: r.UID, Aborted: r.Aborted, Retried: retry.Value, Since: at}
		evidence = nil // it is older
	}
	if abort.asks(revision, r.Aborted) {
		next.Aborted, next.Returns = abort.Value, true
		if !next.Failed() {
			next.Reason, next.Message, next.Time = CauseAborted, "the annotation "+v1alpha1.AbortAnnotation+" is "+abort.Value, at
		}
	}
	if !next.Failed() && evidence != nil {
		next.Reason, next.Message, next.Count, next.Time = evidence.Cause, Shorten(evidence.Message, shownVerdict), evidence.Count, at
		size := 0
		for _, node := range evidence.Nodes {
			if size += len(node); size <= shownNodeSum {
				next.Nodes = append(next.Nodes, node)
			}
		}
	}
	return next
}

// asks reports whether a verb asks for something of a revision that was not obeyed. Its values are numbered, <revision>/<n>, from 0
// without a number, so that each acts once.
func (v Verb) asks(revision, obeyed string) bool {
	n, numbered := v.number()
	if v.Revision != revision || !numbered {
		return false
	}
	was, obeys := ParseVerb(obeyed).number()
	return !obeys || n > was
}

func (v Verb) number() (n uint64, numbered bool) {
	if v.Revision == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(cmp.Or(v.Argument, "0"), 10, 32)
	return n, err == nil
}

// text is the note that records a ruling; empty if it says nothing.
func (r *Ruling) text() string {
	if !r.Failed() && r.Aborted == "" && r.Retried == "" {
		return ""
	}
	text, err := json.Marshal(r)
	if err != nil {
		return ""
	}
	return string(text)
}

// Notes returns what is to be recorded of the update revision, given its present ruling: nothing if that does not change.
func (r *Ruling) Notes(revision string, next *Ruling) []Note {
	if text := next.text(); text != r.text() {
		return []Note{{Revision: revision, Annotation: v1alpha1.VerdictAnnotation, Value: text}}
	}
	return nil
}

// inheritRuling returns the note that a record gets from a duplicate of it; empty if it has one, or the duplicate has none.
func (r *Record) inheritRuling(duplicate *Record) string {
	if _, has := RulingOf(r); has != "" {
		return ""
	}
	of, has := RulingOf(duplicate)
	if has == "" {
		return ""
	}
	of.UID = r.UID
	return of.text()
}

// Verdict returns the verdict for the status, nil if there is none.
func (r *Ruling) Verdict(revision string) *v1alpha1.RolloutVerdict {
	if r == nil || !r.Failed() {
		return nil
	}
	verdict := &v1alpha1.RolloutVerdict{Revision: revision, Reason: string(r.Reason), Message: r.Message, Nodes: r.Nodes}
	if at, err := time.Parse(time.RFC3339, r.Time); err == nil {
		verdict.Time = &metav1.Time{Time: at}
	}
	return verdict
}
