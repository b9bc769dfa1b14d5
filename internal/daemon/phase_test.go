package daemon

import (
	"testing"

	"github.com/everynode/everynode/api/v1alpha1"
)

// heldRollout returns a rollout from r1 to r2 with a spec.rollout.
func heldRollout(t *testing.T, change ...func(*v1alpha1.Rollout)) *RolloutHealth {
	t.Helper()
	var spec v1alpha1.Rollout
	for _, c := range change {
		c(&spec)
	}
	hold, err := NewHold(&spec)
	if err != nil {
		t.Fatal(err)
	}
	return &RolloutHealth{Stable: "r1", Update: "r2", Hold: hold}
}

func TestPhase(t *testing.T) {
	complete := func(of *RolloutHealth) *RolloutHealth { of.Stable = of.Update; return of }
	tests := map[string]struct {
		health Health
		want   v1alpha1.RolloutPhase
	}{
		"no nodes":                               {Health{Rollout: complete(heldRollout(t))}, v1alpha1.RolloutComplete},
		"complete":                               {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3}, Rollout: complete(heldRollout(t))}, v1alpha1.RolloutComplete},
		"complete, a pod is missing":             {Health{Counters: Counters{Desired: 3, Current: 2, Updated: 2}, Rollout: complete(heldRollout(t))}, v1alpha1.RolloutComplete},
		"complete, with a partition":             {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3}, Rollout: complete(heldRollout(t, partition("2")))}, v1alpha1.RolloutComplete},
		"complete, and paused":                   {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3}, Rollout: complete(heldRollout(t, pause))}, v1alpha1.RolloutComplete},
		"complete, the others are blocked":       {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1, Excused: 2, ExcusedBehind: 2}, Rollout: complete(heldRollout(t))}, v1alpha1.RolloutComplete},
		"back to stable":                         {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 2}, Rollout: complete(heldRollout(t))}, v1alpha1.RolloutProgressing},
		"back to stable, paused":                 {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 2}, Rollout: complete(heldRollout(t, pause))}, v1alpha1.RolloutPaused},
		"nothing is held back":                   {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1}, Rollout: heldRollout(t)}, v1alpha1.RolloutProgressing},
		"all are updated, not stable yet":        {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3}, Rollout: heldRollout(t)}, v1alpha1.RolloutProgressing},
		"paused":                                 {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1, Held: 2}, Rollout: heldRollout(t, pause)}, v1alpha1.RolloutPaused},
		"held":                                   {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1, Held: 2}, Rollout: heldRollout(t, partition("2"))}, v1alpha1.RolloutHeld},
		"held, an admitted node is behind":       {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 0, Held: 2}, Rollout: heldRollout(t, partition("2"))}, v1alpha1.RolloutProgressing},
		"held, another has an abandoned one":     {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1, Held: 2, Astray: 1}, Rollout: heldRollout(t, partition("2"))}, v1alpha1.RolloutProgressing},
		"held, a pod is missing":                 {Health{Counters: Counters{Desired: 3, Current: 2, Updated: 1, Held: 2}, Rollout: heldRollout(t, partition("2"))}, v1alpha1.RolloutProgressing},
		"a partition of less than one node":      {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3}, Rollout: heldRollout(t, partition("30%"))}, v1alpha1.RolloutProgressing},
		"OnDelete":                               {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1}, OnDelete: true, Rollout: heldRollout(t)}, v1alpha1.RolloutHeld},
		"suspended":                              {Health{Suspended: true, Rollout: heldRollout(t)}, v1alpha1.RolloutSuspended},
		"suspended after it was complete":        {Health{Suspended: true, Rollout: complete(heldRollout(t, pause))}, v1alpha1.RolloutSuspended},
		"nodes are selected, all of them match":  {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 3}, Rollout: heldRollout(t, canaries)}, v1alpha1.RolloutHeld},
		"held, a pod of the update waits to run": {Health{Counters: Counters{Desired: 3, Current: 3, Updated: 1, Held: 2, Pending: 1}, Rollout: heldRollout(t, partition("2"))}, v1alpha1.RolloutProgressing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.health.RolloutStatus(); got.Phase != test.want || got.CurrentRevision != test.health.Rollout.Stable || got.UpdateRevision != "r2" {
				t.Errorf("status %+v, want phase %s", got, test.want)
			}
		})
	}
	if got := (&Health{}).RolloutStatus(); got != nil {
		t.Errorf("without a rollout the status has %+v", got)
	}
}

// The phase and Progressing agree: nothing is Complete while something is held back or a stale pod is to be replaced.
func TestPhaseAgreesWithProgressing(t *testing.T) {
	reasons := map[v1alpha1.RolloutPhase][]string{
		v1alpha1.RolloutComplete:    {reasonComplete, reasonPodsMissing, reasonPodsPending},
		v1alpha1.RolloutProgressing: {reasonRollingOut, reasonPodsMissing, reasonPodsPending},
		v1alpha1.RolloutPaused:      {reasonPaused, reasonPodsMissing},
		v1alpha1.RolloutHeld:        {reasonHeld, reasonWaitsForUser},
	}
	for _, change := range []func(*v1alpha1.Rollout){resume, pause, partition("2"), canaries} {
		for n := range 4 * 4 * 4 * 4 * 2 * 2 * 2 {
			digit := func(base int) int { d := n % base; n /= base; return d }
			counters := Counters{Desired: 3, Current: digit(4), Updated: digit(4), Held: digit(4), Pending: digit(4)}
			health := Health{Counters: counters, OnDelete: digit(2) == 1, Rollout: heldRollout(t, change), ReportsWaiting: true}
			if digit(2) == 1 {
				health.Rollout.Stable = "r2"
				health.Held = 0
			}
			if digit(2) == 1 {
				health.Astray = min(1, health.Held)
			}
			if health.Updated > health.Current || health.Updated+health.Held > 3 || health.Pending > health.Current {
				continue
			}
			condition := health.progressing()
			allowed := reasons[health.phase()]
			found := false
			for _, reason := range allowed {
				found = found || reason == condition.Reason
			}
			if !found {
				t.Fatalf("%+v %+v: phase %s, Progressing %s %s", health.Counters, *health.Rollout, health.phase(), condition.Status, condition.Reason)
			}
		}
	}
}
