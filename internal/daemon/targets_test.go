package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// zoneByZone gives the update revision to one zone alone.
type zoneByZone struct{ zone, others string }

func (z zoneByZone) Target(update string, node *NodeFacts) string {
	if node.Labels["zone"] == z.zone {
		return update
	}
	return z.others
}

func (zoneByZone) Reads() Reads { return Reads{Labels: []string{"zone"}} }

func TestTargetOf(t *testing.T) {
	inA := &NodeFacts{Name: "n1", Labels: map[string]string{"zone": "a"}}
	tests := map[string]struct {
		state RolloutState
		node  *NodeFacts
		want  string
	}{
		"no policy: the update revision": {RolloutState{Update: "r2"}, inA, "r2"},
		"no policy, a node not known":    {RolloutState{Update: "r2"}, nil, "r2"},
		"let through":                    {RolloutState{Update: "r2", Policy: zoneByZone{"a", "r1"}}, inA, "r2"},
		"held back":                      {RolloutState{Update: "r2", Policy: zoneByZone{"b", "r1"}}, inA, "r1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := TargetOf(&test.state, test.node); got != test.want {
				t.Errorf("target %s, want %s", got, test.want)
			}
		})
	}
}

// A node's facts change its cell's target, and so whether its pod is stale: it waits for its turn, or no longer does.
func TestTargetFollowsFacts(t *testing.T) {
	zones := map[string]string{"n0": "a", "n1": "b", "n2": "b"}
	c := newCluster(t, 3, unavailable("1"))
	c.cells.Facts = func(node string) *NodeFacts {
		if zones[node] == "" {
			return nil
		}
		return &NodeFacts{Name: node, Labels: map[string]string{"zone": zones[node]}}
	}
	c.policy = zoneByZone{"a", "r1"}
	if diff := cmp.Diff(Reads{}, c.cells.Reads()); diff != "" {
		t.Errorf("before there is a policy (-want, +got):\n%s", diff)
	}
	c.update("r2")
	if diff := cmp.Diff(Reads{Labels: []string{"zone"}}, c.cells.Reads()); diff != "" {
		t.Errorf("reads (-want, +got):\n%s", diff)
	}
	c.run(func(int) int { return 0 }, nil)
	wantRevisions(t, c, map[string]string{"n0": "r2", "n1": "r1", "n2": "r1"})

	if c.cells.Retarget("n1", c.now) || c.cells.Retarget("unknown", c.now) {
		t.Error("the same facts change a target")
	}
	before := c.cells.Recounts()
	zones["n1"] = "a"
	if !c.cells.Retarget("n1", c.now) || c.cells.Recounts() != before+1 {
		t.Errorf("a node that enters the zone has %d cells counted, want its own", c.cells.Recounts()-before)
	}
	zones["n3"] = "a"
	if got := c.cells.TargetOf("n3"); got != "r2" {
		t.Errorf("the target of a node without a cell is %s, want r2", got)
	}
	c.nodes = append(c.nodes, "n3", "n4") // n4's zone is not known
	for _, node := range []string{"n3", "n4"} {
		c.cells.SetNode(node, types.UID(node), eligible, c.now)
		c.act(node)
		c.ready(c.podsOn(node)[0])
	}
	c.run(func(int) int { return 0 }, nil)
	wantRevisions(t, c, map[string]string{"n0": "r2", "n1": "r2", "n2": "r1", "n3": "r2", "n4": "r1"})
	if !c.cells.Targets("r1") || !c.cells.Targets("r2") || c.cells.Targets("r3") {
		t.Error("the targets are not r1 and r2")
	}
	for _, node := range []string{"n2", "n4"} {
		zones[node] = "a"
		c.cells.Retarget(node, c.now)
	}
	if c.cells.Targets("r1") {
		t.Error("r1 is still a target")
	}
	c.run(func(int) int { return 0 }, nil)
	c.done()
}

func wantRevisions(t *testing.T, c *cluster, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, node := range c.nodes {
		for _, pod := range c.podsOn(node) {
			got[node] += pod.Revision
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revisions (-want, +got):\n%s", diff)
	}
}

// The back-off of a cell whose target stays is not reset by a template that it does not get.
func TestBackOffEndsWithItsTarget(t *testing.T) {
	var cells Cells
	policy := heldBack{nodes: map[string]string{"n1": "r1"}}
	cells.Renew(RolloutState{Update: "r1", Policy: policy}, 0, unavailable("1"))
	for _, node := range []string{"n1", "n2"} {
		cells.SetNode(node, "uid", eligible, t0)
		cells.Replaced(node, t0)
	}
	cells.Renew(RolloutState{Update: "r2", Policy: policy}, 0, unavailable("1"))
	for node, want := range map[string]bool{"n1": true, "n2": false} {
		if cell, _ := cells.at(node); (cell.setbacks != nil) != want {
			t.Errorf("%s, whose target is %s, backs off: %t, want %t", node, cell.Target(), !want, want)
		}
	}
}
