package ledger

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	if entries, err := Read(path); err != nil || entries != nil {
		t.Fatalf("a file that does not exist: %v, %v", entries, err)
	}
	for _, entry := range []Entry{
		{Fault: "TestF01", Run: 0, Took: time.Second}, {Fault: "TestF01", Run: 1, Took: 3 * time.Second, Failed: true},
		{Fault: "TestF01", Run: 2, Took: 5 * time.Second, Records: 7, Judged: map[string]int{"S1": 4, "S4": 5}, Unjudged: map[string]int{"S4": 3}}, {Fault: "TestF02", Run: 1, Failed: true},
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
	for _, row := range []string{"| `TestF01` | 3    | 1      | 7       | 9      | 3        | 3s     |", "| `TestF02` | 1    | 1      | 0"} {
		if !strings.Contains(table.String(), row) {
			t.Errorf("no row %q in\n%s", row, table.String())
		}
	}
}
