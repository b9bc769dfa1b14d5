package simulation

import (
	"strings"
	"testing"
)

// Nodes that die and return hold up no rollout, and cost what they should.
func TestDeaths(t *testing.T) { violatesNothing(t, "deaths") }

// What is to happen does, in few histories.
func TestDeathsAreBroad(t *testing.T) {
	var all strings.Builder
	for seed := range uint64(30) {
		Deaths(seed).Tell(&all)
	}
	for _, want := range []string{"is Unknown", "is False", "is True", "deadNodes", "partition 50%", "is killed", "patch controllerrevision"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no history contains %q", want)
		}
	}
}
