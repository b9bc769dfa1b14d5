package simulation

import (
	"strings"
	"testing"

	"github.com/everynode/everynode/test/faults/checker"
)

// A node whose pods always fail costs a number of writes that back-off bounds.
func TestFailing(t *testing.T) {
	for seed := range uint64(6) {
		run := Failing(seed)
		if len(run.Violations) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(run.Violations, "\n"))
		}
		if n := checker.Judge(run.History).Judged[checker.S8]; n == 0 || run.journal.deleted < 10 {
			t.Errorf("seed %d: S8 was judged %d times, and %d pods were deleted", seed, n, run.journal.deleted)
		}
	}
}
