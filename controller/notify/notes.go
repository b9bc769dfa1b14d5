package notify

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// noteLimit is the API server's limit for an event's note, in bytes (k8s.io/kubernetes pkg/apis/core/validation
// NoteLengthLimit). An event with a longer one is refused.
const noteLimit = 1024

// sharedLimit is how much of it is for the common part of several pods; the rest is for their names.
const sharedLimit = 500

// Entry is an entry of an event: about a pod, so that one event may describe many, or else about a daemon.
type Entry struct {
	Related corev1.ObjectReference // the pod; zero when it is about none
	One     string                 // the note for a single entry
	Many    string                 // the beginning of the note for several, with %s for "7 pods"; "" if they never share one
	Why     string                 // what they have in common; "" for nothing
	Cause   string                 // Why without remaining differences between pods; "" if there are none
}

// key is equal for entries with the same content about the same pod.
func (e *Entry) key() string {
	if e.Many == "" {
		return e.One
	}
	return e.Related.Name + "/" + e.Many + "/" + cmp.Or(e.Cause, e.Why)
}

// note is the text of one event, and its entries.
type note struct {
	text    string
	entries []Entry
}

// compose writes entries into as few notes as possible: those with a common part together, and no name is ever
// left out. The order is that of the entries.
func compose(entries []Entry) (notes []note) {
	type shared struct{ many, cause string }
	var order []shared
	groups := map[shared][]Entry{}
	for _, e := range entries {
		of := shared{e.Many, cmp.Or(e.Cause, e.Why)}
		if e.Many == "" {
			of.cause = e.One // alone, but not twice
		}
		if groups[of] == nil {
			order = append(order, of)
		}
		groups[of] = append(groups[of], e)
	}
	for _, of := range order {
		if of.many == "" {
			notes = append(notes, note{daemon.Shorten(of.cause, noteLimit), groups[of]})
			continue
		}
		notes = append(notes, composeGroup(groups[of])...)
	}
	return notes
}

// composeGroup writes about pods with a common part, as many in a note as fit.
func composeGroup(entries []Entry) (notes []note) {
	many, why := entries[0].Many, entries[0].Why
	for len(entries) > 0 {
		taken := fitting(head(many, why, len(entries)), entries)
		next := note{entries: entries[:taken]}
		if taken == 1 {
			next.text = daemon.Shorten(entries[0].One, noteLimit)
		} else {
			names := make([]string, taken)
			for i := range names {
				names[i] = entries[i].Related.Name
			}
			next.text = head(many, why, taken) + strings.Join(names, ", ")
		}
		notes, entries = append(notes, next), entries[taken:]
	}
	return notes
}

// head is the text before the names.
func head(many, why string, pods int) string {
	text := fmt.Sprintf(many, fmt.Sprintf("%d pods", pods))
	if why != "" {
		text += " (" + daemon.Shorten(why, sharedLimit) + ")"
	}
	return text + ": "
}

// fitting returns how many entries fit after a head, at least one.
func fitting(head string, entries []Entry) int {
	length := len(head)
	for i := range entries {
		if length += len(entries[i].Related.Name) + len(", "); length > noteLimit && i > 0 {
			return i
		}
	}
	return len(entries)
}
