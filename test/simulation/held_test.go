package simulation

import (
	"strings"
	"testing"
)

// What a rollout holds back ends as its spec says, whatever happened before.
func TestHeldRollouts(t *testing.T) { violatesNothing(t, "held") }

// What can happen to a rollout happens, in few histories.
func TestHeldRolloutsAreBroad(t *testing.T) {
	var all strings.Builder
	for seed := range uint64(30) {
		Held(seed).Tell(&all)
	}
	for _, want := range []string{"paused true", "partition 50%", "canaries only true", "newNodes Update", "the emergency stop begins", "canary=1", "is killed", "2 waves", "everynode.dev/promote", "check.everynode.dev/smoke", "patch controllerrevision"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no history contains %q", want)
		}
	}
}
