package faults

import (
	"os"
	"strconv"
	"testing"

	"github.com/everynode/everynode/test/faults/ledger"
)

// The environment of the long tests, which hack/faults.sh sets.
const (
	// runsVariable is how often each fault runs; without it only the short ones run, once.
	runsVariable = "EVERYNODE_FAULT_RUNS"
	// slowRunsVariable is how often those run that take more than two minutes.
	slowRunsVariable = "EVERYNODE_FAULT_SLOW_RUNS"
	// ledgerVariable is a file of finished runs, which are not repeated.
	ledgerVariable = "EVERYNODE_FAULT_LEDGER"
	// claimsVariable is a folder in which processes that share a series claim runs.
	claimsVariable = "EVERYNODE_FAULT_CLAIMS"
	// commitVariable is what the ledger says of the programs that run.
	commitVariable = "EVERYNODE_FAULT_COMMIT"
)

// runs returns how often a fault is to run.
func (f fault) runs(t *testing.T) int {
	t.Helper()
	variable := runsVariable
	if f.slow {
		variable = slowRunsVariable
	}
	text := os.Getenv(variable)
	if text == "" && (f.long || f.slow) {
		t.Skip("a long test: make faults runs it")
	}
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// finished returns the runs in the ledger.
func finished(t *testing.T) []ledger.Entry {
	t.Helper()
	path := os.Getenv(ledgerVariable)
	if path == "" {
		return nil
	}
	entries, err := ledger.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// claimed reports whether this process is to do a run, and not another one of the same series.
func claimed(t *testing.T, n int) bool {
	t.Helper()
	folder := os.Getenv(claimsVariable)
	if folder == "" {
		return true
	}
	mine, err := ledger.Claim(folder, t.Name(), n)
	if err != nil {
		t.Fatal(err)
	}
	return mine
}

// enter adds a run to the ledger.
func enter(t testing.TB, entry ledger.Entry) {
	t.Helper()
	path := os.Getenv(ledgerVariable)
	if path == "" {
		return
	}
	entry.Commit = os.Getenv(commitVariable)
	if err := ledger.Append(path, entry); err != nil {
		t.Fatal(err)
	}
}
