package simulation

import (
	"strings"
	"testing"

	"github.com/everynode/everynode/test/faults/checker"
)

// Rollouts keep their limits whatever is not answered or seen late, and whatever an earlier process did.
func TestRollouts(t *testing.T) {
	tests := map[string]struct {
		run      func(uint64) *Run
		contains []string
	}{
		"flips":    {Flips, []string{"delete of pods ns/", "reply lost", "is frozen"}},
		"restarts": {Restarts, []string{"is killed", "controller a-3 starts", "AlreadyExists"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []string
			judged := map[string]int{}
			for seed := range uint64(40) {
				run := test.run(seed)
				if len(run.Violations) > 0 {
					t.Errorf("seed %d: %s\n%s", seed, strings.Join(run.Violations, "\n"), run.Text())
				}
				for id, n := range run.Judged {
					judged[id] += n
				}
				all = append(all, run.Text())
			}
			for _, want := range test.contains {
				if !strings.Contains(strings.Join(all, ""), want) {
					t.Errorf("no history contains %q", want)
				}
			}
			if judged[checker.S4] < 100 || judged[checker.S1] < 100 {
				t.Errorf("S1 and S4 were judged %d and %d times", judged[checker.S1], judged[checker.S4])
			}
		})
	}
}
