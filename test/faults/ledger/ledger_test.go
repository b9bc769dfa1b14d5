package ledger

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	if entries, err := Read(path); err != nil || entries != nil {
		t.Fatalf("a file that does not exist: %v, %v", entries, err)
	}
	for _, entry := range []Entry{
		{Fault: "TestF01", Run: 0, Took: time.Second}, {Fault: "TestF01", Run: 1, Took: 3 * time.Second, Failed: true, Violations: 2},
		{Fault: "TestF01", Run: 2, Took: 5 * time.Second, Commit: "abc", Records: 7, Judged: map[string]int{"S1": 4, "S4": 5}, Unjudged: map[string]int{"S4": 3}}, {Fault: "TestF02", Run: 1, Failed: true},
	} {
		if err := Append(path, entry); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := Read(path)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for run, want := range []bool{true, false, true, false} {
		if got := Succeeded(entries, "TestF01", run); got != want {
			t.Errorf("run %d succeeded: %t, want %t", run, got, want)
		}
	}
	if Succeeded(entries, "TestF02", 1) {
		t.Error("a failed run succeeded")
	}
	var table strings.Builder
	if err := Print(&table, entries); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| `TestF01` | 3    | 1      | 2          | 7       | 9      | 3        | 3s     |", "| `TestF02` | 1    | 1      | 0",
		"| all       | 4    | 2      | 2          | 7       | 9      | 3        | 3s     |", "\n1 runs of commit abc\n", "\n3 runs of commit unknown\n",
	} {
		if !strings.Contains(table.String(), row) {
			t.Errorf("no row %q in\n%s", row, table.String())
		}
	}
}

// Processes that share a series claim each run once, and lose no entry.
func TestShared(t *testing.T) {
	const processes, runs = 8, 50
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	errs := make([]error, processes)
	var all sync.WaitGroup
	for p := range processes {
		all.Go(func() {
			for n := range runs {
				mine, err := Claim(dir, "TestF07/Fail", n)
				if mine {
					err = Append(path, Entry{Fault: "TestF07/Fail", Run: n})
				}
				entries, readErr := Read(path)
				if len(entries) > runs {
					readErr = errors.New("there are more entries than runs")
				}
				errs[p] = errors.Join(errs[p], err, readErr)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	entries, err := Read(path)
	if err != nil || len(entries) != runs {
		t.Fatalf("%d entries of %d runs, %v", len(entries), runs, err)
	}
	for n := range runs {
		if !Succeeded(entries, "TestF07/Fail", n) {
			t.Errorf("run %d is missing", n)
		}
	}
}
