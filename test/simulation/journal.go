package simulation

import (
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/test/faults/history"
)

// journal is what happens in a cluster: the history that the checker judges, and notes for readers between its records.
type journal struct {
	history *history.History
	notes   []note
	writes  int // by controllers, of requests that were executed
	created int // pods
	deleted int // pods
}

// note is a remark before a record. It is formatted when somebody reads it.
type note struct {
	before int // the number of records before it
	at     time.Time
	format string
	args   []any
}

func newJournal() *journal { return &journal{history: &history.History{}} }

// record is API.Record.
func (j *journal) record(record history.Record) {
	j.history.Records = append(j.history.Records, record)
	if change := record.Change; change != nil && change.Resource == history.Pods {
		switch change.Type {
		case watch.Added:
			j.created++
		case watch.Deleted:
			j.deleted++
		case watch.Modified, watch.Bookmark, watch.Error:
		}
	}
}

func (c *Cluster) note(format string, args ...any) {
	c.journal.notes = append(c.journal.notes, note{len(c.journal.history.Records), c.clock.Now(), format, args})
}

// markStarted records that a program was started.
func (c *Cluster) markStarted(process string) {
	c.journal.record(history.Record{At: c.clock.Now(), Mark: &history.Mark{Kind: history.Started, Text: process}})
}

// mark adds a mark to the history.
func (c *Cluster) mark(kind history.MarkKind, text string) {
	c.journal.record(history.Record{At: c.clock.Now(), Mark: &history.Mark{Kind: kind, Text: text}})
}
