package daemon

import (
	"slices"
	"testing"
)

// Every number that is kept by deltas is reported when it is wrong, and right afterwards.
func TestAudit(t *testing.T) {
	for name, spoil := range map[string]func(*Cells){
		"desired":      func(c *Cells) { c.sums.Desired++ },
		"current":      func(c *Cells) { c.sums.Current-- },
		"misscheduled": func(c *Cells) { c.sums.Misscheduled++ },
		"ready":        func(c *Cells) { c.sums.Ready = 7 },
		"available":    func(c *Cells) { c.sums.Available-- },
		"updated":      func(c *Cells) { c.sums.Updated-- },
		"serving":      func(c *Cells) { c.rollout.serving++ },
		"taken":        func(c *Cells) { c.rollout.taken++ },
		"surging":      func(c *Cells) { c.rollout.surging++ },
		"waiting":      func(c *Cells) { c.rollout.waiting.ReplaceOrInsert(turn{node: "unknown"}) },
		"unavailable":  func(c *Cells) { c.unavailable.Clear(false) },
		"pods":         func(c *Cells) { c.pods["r1"]++ },
		"pods of none": func(c *Cells) { c.pods["gone"] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 5, unavailable("1"))
			c.cells.SetNode("n0", "n0", noSchedule, c.now)
			c.podsOn("n1")[0].Ready = false
			c.observe(c.podsOn("n1")[0])
			c.update("r2")
			cells := &c.cells
			if wrong := cells.Audit(c.now); len(wrong) > 0 {
				t.Fatalf("wrong before anything is spoiled: %q", wrong)
			}
			health := cells.Health()
			spoil(cells)
			if wrong := cells.Audit(c.now); len(wrong) != 1 {
				t.Errorf("found %q, want one thing", wrong)
			}
			if wrong := cells.Audit(c.now); len(wrong) > 0 {
				t.Errorf("found %q again", wrong)
			}
			if after := cells.Health(); after.Counters != health.Counters || !slices.Equal(after.Unavailable, health.Unavailable) {
				t.Errorf("afterwards %+v, want %+v", after, health)
			}
		})
	}
}
