// Package ledger keeps the results of finished runs in a file, so that a series of runs can be interrupted and continued, shared
// by several processes, and counted.
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
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// Entry is a finished run.
type Entry struct {
	Fault string `json:"fault"`
	// Commit is what ran: as git describes it.
	Commit  string        `json:"commit,omitempty"`
	Run     int           `json:"run"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"`
	Records int           `json:"records"`
	// Failed is a run with violations, or one whose fault did not happen.
	Failed     bool `json:"failed,omitempty"`
	Violations int  `json:"violations,omitempty"`
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
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH); err != nil {
		return nil, err
	}
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

// Append adds an entry to a file. Other processes may append to the file, and read it, at the same time.
func Append(path string, entry Entry) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err == nil {
		_, err = file.Write(append(line, '\n'))
	}
	return errors.Join(err, file.Close())
}

// Claim reports whether a run is the caller's: the first process that claims it in a folder gets it.
func Claim(folder, fault string, run int) (bool, error) {
	name := fmt.Sprintf("%s.%d", strings.ReplaceAll(fault, "/", "."), run)
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, file.Close()
}

// Succeeded reports whether a run is among the entries and has not failed.
func Succeeded(entries []Entry, fault string, run int) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Fault == fault && e.Run == run && !e.Failed })
}

// figures sum up the runs of a fault.
type figures struct {
	runs, failed, violations, records, judged, unjudged int
	took                                                []time.Duration
}

// Print writes a table of the entries, in Markdown, a row for each fault and one for all, and the commits that ran.
func Print(to io.Writer, entries []Entry) error {
	faults, commits, all := map[string]*figures{}, map[string]int{}, &figures{}
	for i := range entries {
		e := &entries[i]
		faults[e.Fault] = cmp.Or(faults[e.Fault], &figures{})
		faults[e.Fault].add(e)
		all.add(e)
		commits[cmp.Or(e.Commit, "unknown")]++
	}
	table := tabwriter.NewWriter(to, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| test\t| runs\t| failed\t| violations\t| records\t| judged\t| unjudged\t| median\t|")
	fmt.Fprintln(table, "|---\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|")
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		faults[name].row(table, "`"+name+"`")
	}
	all.row(table, "all")
	if err := table.Flush(); err != nil {
		return err
	}
	for _, commit := range slices.Sorted(maps.Keys(commits)) {
		if _, err := fmt.Fprintf(to, "\n%d runs of commit %s\n", commits[commit], commit); err != nil {
			return err
		}
	}
	return nil
}

func (f *figures) row(table io.Writer, name string) {
	var median time.Duration
	if slices.Sort(f.took); len(f.took) > 0 {
		median = f.took[len(f.took)/2].Round(100 * time.Millisecond)
	}
	fmt.Fprintf(table, "| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t|\n", name, f.runs, f.failed, f.violations, f.records, f.judged, f.unjudged, median)
}

func (f *figures) add(e *Entry) {
	f.runs++
	f.violations += e.Violations
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
