package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What happens between two batches is counted once, whichever side of the cursor it is on: in the sums, by the
// audit, and with the grants and the back-off that a new template ends.
func TestChangesBetweenBatches(t *testing.T) {
	const nodes, batch = 9, 2
	changes := map[string]func(c *cluster, node string){
		"a pod is not ready":   func(c *cluster, node string) { c.podsOn(node)[0].Ready = false; c.observe(c.podsOn(node)[0]) },
		"a pod goes":           func(c *cluster, node string) { c.cells.RemovePod(node, c.podsOn(node)[0].UID, c.now) },
		"a node goes":          func(c *cluster, node string) { c.cells.RemoveNode(node, c.now) },
		"a node is not chosen": func(c *cluster, node string) { c.cells.SetNode(node, "uid", noSchedule, c.now) },
		"a node comes":         func(c *cluster, node string) { c.cells.SetNode(node+"-new", "uid", eligible, c.now) },
		"a cell goes": func(c *cluster, node string) {
			c.cells.RemovePod(node, c.podsOn(node)[0].UID, c.now)
			c.cells.RemoveNode(node, c.now)
		},
	}
	for name, change := range changes {
		for at := range nodes {
			for when := range nodes / batch {
				t.Run(fmt.Sprintf("%s, %d after %d batches", name, at, when), func(t *testing.T) {
					node := fmt.Sprintf("n%d", at)
					some, whole := newCluster(t, nodes, unavailable("1")), newCluster(t, nodes, unavailable("1"))
					change(whole, node)
					whole.cells.SetTemplate("r2", time.Minute, unavailable("2"), whole.now)
					some.cells.Renew(RolloutState{Update: "r2"}, time.Minute, unavailable("2"))
					for last, n := "", 0; ; n++ {
						if n == when {
							change(some, node)
						}
						batch := some.cells.NodesAfter(last, batch)
						some.cells.Recount(batch, some.now)
						if len(batch) == 0 {
							break
						}
						last = batch[len(batch)-1]
					}
					if diff := cmp.Diff(whole.cells.Health(), some.cells.Health()); diff != "" {
						t.Errorf("in batches (-want, +got):\n%s", diff)
					}
					if wrong := some.cells.Audit(some.now); len(wrong) > 0 {
						t.Errorf("afterwards wrong: %q", wrong)
					}
				})
				t.Run(fmt.Sprintf("audit, %s, %d after %d batches", name, at, when), func(t *testing.T) {
					c := newCluster(t, nodes, unavailable("1"))
					for n := 0; ; n++ {
						if n == when {
							change(c, fmt.Sprintf("n%d", at))
						}
						wrong, done := c.cells.AuditSome(c.now, batch)
						if len(wrong) > 0 {
							t.Fatalf("wrong: %q", wrong)
						}
						if done {
							break
						}
					}
				})
			}
		}
	}
}

// A cell that is looked at before its batch has caught up with the template, and what happens to it afterwards stays.
func TestCellsCatchUpOnce(t *testing.T) {
	var cells Cells
	cells.SetTemplate("r1", 0, unavailable("1"), t0)
	cells.SetNode("n1", "uid", eligible, t0)
	cells.Replaced("n1", t0)
	cells.Renew(RolloutState{Update: "r2"}, 0, unavailable("1"))
	cells.Renew(RolloutState{Update: "r2"}, 0, unavailable("2"))
	if cell, _ := cells.at("n1"); cell.setbacks != nil {
		t.Error("the back-off of another template is left")
	}
	cells.Replaced("n1", t0)
	cells.Recount(cells.Nodes(), t0)
	if cell, _ := cells.at("n1"); cell.setbacks == nil {
		t.Error("the back-off of the current template is lost")
	}
}
