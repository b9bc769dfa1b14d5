// Package ledger keeps the results of finished runs in a file, so that a series of runs can be interrupted and continued, and
// counted.
package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// Entry is a finished run.
type Entry struct {
	Fault   string        `json:"fault"`
	Run     int           `json:"run"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"`
	Records int           `json:"records"`
	// Failed is a run with violations, or one whose fault did not happen.
	Failed bool `json:"failed,omitempty"`
	// Judged counts by invariant what the checker judged, Unjudged what it could not, because of a gap.
	Judged   map[string]int `json:"judged,omitempty"`
	Unjudged map[string]int `json:"unjudged,omitempty"`
}

// Read returns the entries of a file; none if it does not exist.
func Read(path string) ([]Entry, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var entries []Entry
	for lines := json.NewDecoder(file); ; {
		var entry Entry
		if err := lines.Decode(&entry); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", path, len(entries)+1, err)
		}
		entries = append(entries, entry)
	}
}

// Append adds an entry to a file.
func Append(path string, entry Entry) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// Succeeded reports whether a run is among the entries and has not failed.
func Succeeded(entries []Entry, fault string, run int) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Fault == fault && e.Run == run && !e.Failed })
}

// figures sum up the runs of a fault.
type figures struct {
	runs, failed, records, judged, unjudged int
	took                                    []time.Duration
}

// Print writes a table of the entries, in Markdown, a row for each fault.
func Print(to io.Writer, entries []Entry) error {
	all := map[string]*figures{}
	for i := range entries {
		all[entries[i].Fault] = cmp.Or(all[entries[i].Fault], &figures{})
		all[entries[i].Fault].add(&entries[i])
	}
	table := tabwriter.NewWriter(to, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| test\t| runs\t| failed\t| records\t| judged\t| unjudged\t| median\t|")
	fmt.Fprintln(table, "|---\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		slices.Sort(f.took)
		fmt.Fprintf(table, "| `%s`\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t|\n", name, f.runs, f.failed, f.records, f.judged, f.unjudged, f.took[len(f.took)/2].Round(100*time.Millisecond))
	}
	return table.Flush()
}

func (f *figures) add(e *Entry) {
	f.runs++
	f.records += e.Records
	if e.Failed {
		f.failed++
	}
	for _, n := range e.Judged {
		f.judged += n
	}
	for _, n := range e.Unjudged {
		f.unjudged += n
	}
	f.took = append(f.took, e.Took)
}
