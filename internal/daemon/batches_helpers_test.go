package daemon

import "time"

// What production does in batches, at once.

func (c *Cells) SetTemplate(revision string, minReady time.Duration, strategy Strategy, now time.Time) {
	c.Renew(RolloutState{Update: revision}, minReady, strategy)
	c.Recount(c.Nodes(), now)
}

func (c *Cells) Nodes() []string { return append([]string{}, c.NodesAfter("", c.Len()+1)...) }

func (c *Cells) Grant(now time.Time) (nodes []string) {
	for {
		some, more := c.GrantSome(now, 3)
		nodes = append(nodes, some...)
		if !more {
			return nodes
		}
	}
}

func (c *Cells) Audit(now time.Time) []string {
	for {
		if wrong, done := c.AuditSome(now, 3); done {
			return wrong
		}
	}
}
