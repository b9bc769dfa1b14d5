package daemon

import (
	"fmt"
	"slices"
	"time"
)

// Audit adds up anew what is kept by deltas, says what was wrong, and puts it right. It should find
// nothing, ever: it is there to tell of a mistake in this package before a user does.
func (c *Cells) Audit(now time.Time) (wrong []string) {
	var (
		sums    Counters
		rolling struct{ serving, taken, surging, waiting int }
		pods    = map[string]int{}
	)
	count := func(sum *int, counts bool) {
		if counts {
			*sum++
		}
	}
	for _, cell := range c.byNode {
		c.recount(cell, now) // a pod may have become available by waiting
	}
	for _, cell := range c.byNode {
		sums.add(cell.part, +1)
		count(&rolling.serving, cell.roll.serving)
		count(&rolling.taken, cell.roll.taken)
		count(&rolling.surging, cell.roll.surging)
		count(&rolling.waiting, cell.roll.waits)
		for _, pod := range cell.Pods {
			pods[pod.Revision]++
		}
	}
	check := func(what string, have *int, want int) {
		if *have != want {
			wrong = append(wrong, fmt.Sprintf("%s: %d, counted %d", what, *have, want))
			*have = want
		}
	}
	check("desired", &c.sums.Desired, sums.Desired)
	check("current", &c.sums.Current, sums.Current)
	check("misscheduled", &c.sums.Misscheduled, sums.Misscheduled)
	check("ready", &c.sums.Ready, sums.Ready)
	check("available", &c.sums.Available, sums.Available)
	check("updated", &c.sums.Updated, sums.Updated)
	r := &c.rollout
	check("serving", &r.serving, rolling.serving)
	check("taken", &r.taken, rolling.taken)
	check("surging", &r.surging, rolling.surging)
	unavailable := sums.Desired - sums.Available
	if r.waiting != nil && (r.waiting.Len() != rolling.waiting || c.unavailable.Len() != unavailable) {
		wrong = append(wrong, fmt.Sprintf("waiting and unavailable: %d and %d, counted %d and %d", r.waiting.Len(), c.unavailable.Len(), rolling.waiting, unavailable))
		c.refill()
	}
	for _, revision := range differing(c.pods, pods) {
		wrong = append(wrong, fmt.Sprintf("pods of revision %s: %d, counted %d", revision, c.pods[revision], pods[revision]))
	}
	c.pods = pods
	return wrong
}

// refill puts every cell into the queues anew.
func (c *Cells) refill() {
	c.rollout.waiting.Clear(false)
	c.unavailable.Clear(false)
	for _, cell := range c.byNode {
		if cell.roll.waits {
			c.rollout.waiting.ReplaceOrInsert(cell.roll.turn)
		}
		c.noteUnavailable(cell, false)
	}
}

// differing are the names that two counts differ in, sorted.
func differing(a, b map[string]int) []string {
	var names []string
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
