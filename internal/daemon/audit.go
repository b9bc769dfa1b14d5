package daemon

import (
	"fmt"
	"slices"
	"time"
)

// tally counts the expected sums, cell by cell. Cells that it has counted may change while it counts others:
// their deltas are applied to it too.
type tally struct {
	last                              string // the cells up to this one are counted
	sums                              Counters
	serving, taken, surging, waiting  int
	excused, eligible, ending, queued int
	urgent                            int
	barred                            barred
	pods                              map[string]int
}

func (t *tally) has(node string) bool { return t != nil && node <= t.last }

// count adds or subtracts a cell's part, if the cell is already counted.
func (t *tally) count(cell *counted, sign int) {
	if !t.has(cell.Node) {
		return
	}
	count := func(sum *int, counts bool) {
		if counts {
			*sum += sign
		}
	}
	t.sums.add(cell.part, sign)
	count(&t.serving, cell.roll.serving)
	count(&t.taken, cell.roll.taken)
	count(&t.surging, cell.roll.surging)
	count(&t.waiting, cell.roll.waits)
	count(&t.excused, cell.roll.excused)
	count(&t.eligible, cell.roll.eligible)
	count(&t.ending, cell.roll.ending)
	count(&t.queued, cell.queued)
	if cell.queued {
		count(&t.urgent, cell.inWave == wantedAll)
	} else {
		t.barred[cell.inWave] += sign
	}
}

func (c *Cells) countPod(node, revision string, change int) {
	if c.pods == nil {
		c.pods = map[string]int{}
	}
	add(c.pods, revision, change)
	if c.tally.has(node) {
		add(c.tally.pods, revision, change)
	}
}

// add keeps no zeros.
func add(numbers map[string]int, of string, change int) {
	if numbers[of] += change; numbers[of] == 0 {
		delete(numbers, of)
	}
}

// AuditSome counts at most n cells. When all of them are counted it compares the result with the sums that are
// kept by deltas, corrects these, and returns the differences. The next call begins again.
func (c *Cells) AuditSome(now time.Time, n int) (wrong []string, done bool) {
	if c.tally == nil {
		c.tally = &tally{pods: map[string]int{}}
	}
	nodes := c.NodesAfter(c.tally.last, n)
	c.Recount(nodes, now) // a pod may have become available by waiting
	for _, node := range nodes {
		c.tally.last = node
		cell, there := c.at(node)
		if !there {
			continue
		}
		c.tally.count(cell, +1)
		for _, pod := range cell.Pods {
			c.tally.pods[pod.Revision]++
		}
	}
	if len(nodes) == n {
		return nil, false
	}
	wrong = c.compare(c.tally)
	c.tally = nil
	return wrong, true
}

func (c *Cells) compare(counted *tally) (wrong []string) {
	check := func(what string, have *int, want int) {
		if *have != want {
			wrong = append(wrong, fmt.Sprintf("%s: %d, counted %d", what, *have, want))
			*have = want
		}
	}
	check("desired", &c.sums.Desired, counted.sums.Desired)
	check("current", &c.sums.Current, counted.sums.Current)
	check("misscheduled", &c.sums.Misscheduled, counted.sums.Misscheduled)
	check("ready", &c.sums.Ready, counted.sums.Ready)
	check("available", &c.sums.Available, counted.sums.Available)
	check("updated", &c.sums.Updated, counted.sums.Updated)
	check("pending", &c.sums.Pending, counted.sums.Pending)
	check("excused nodes", &c.sums.Excused, counted.sums.Excused)
	check("excused behind", &c.sums.ExcusedBehind, counted.sums.ExcusedBehind)
	check("dead", &c.sums.Dead, counted.sums.Dead)
	check("dead and closed", &c.sums.DeadClosed, counted.sums.DeadClosed)
	check("left", &c.sums.Left, counted.sums.Left)
	for cause := range c.sums.Without {
		check(fmt.Sprintf("without a pod by cause %d", cause), &c.sums.Without[cause], counted.sums.Without[cause])
	}
	check("held", &c.sums.Held, counted.sums.Held)
	check("astray", &c.sums.Astray, counted.sums.Astray)
	check("admitted", &c.sums.Admitted, counted.sums.Admitted)
	check("done", &c.sums.Done, counted.sums.Done)
	check("lagging", &c.sums.Lagging, counted.sums.Lagging)
	check("urgent", &c.urgent, counted.urgent)
	for _, of := range []wanted{wantedTo, wantedAll} {
		check("barred", &c.barred[of], counted.barred[of])
	}
	r := &c.rollout
	check("serving", &r.serving, counted.serving)
	check("taken", &r.taken, counted.taken)
	check("surging", &r.surging, counted.surging)
	check("excused", &r.excused, counted.excused)
	check("eligible", &r.eligible, counted.eligible)
	check("ending", &r.ending, counted.ending)
	unavailable := counted.sums.Desired - counted.sums.Available - counted.sums.Excused
	if r.waiting != nil && (r.waiting.Len() != counted.waiting || c.unavailable.Len() != unavailable) {
		wrong = append(wrong, fmt.Sprintf("waiting and unavailable: %d and %d, counted %d and %d", r.waiting.Len(), c.unavailable.Len(), counted.waiting, unavailable))
		c.refill()
	}
	if c.queue != nil && c.queue.Len() != counted.queued {
		wrong = append(wrong, fmt.Sprintf("queued: %d, counted %d", c.queue.Len(), counted.queued))
		c.refill()
	}
	if c.down.left != nil && c.down.left.Len() != counted.sums.Left {
		wrong = append(wrong, fmt.Sprintf("dead nodes that are left: %d, counted %d", c.down.left.Len(), counted.sums.Left))
		c.refill()
	}
	for _, revision := range differing(c.pods, counted.pods) {
		wrong = append(wrong, fmt.Sprintf("pods of revision %s: %d, counted %d", revision, c.pods[revision], counted.pods[revision]))
	}
	c.pods = counted.pods
	return wrong
}

// refill puts every cell into the queues again. Only a bug requires it, so its duration does not matter.
func (c *Cells) refill() {
	c.rollout.waiting.Clear(false)
	c.unavailable.Clear(false)
	if c.queue != nil {
		c.queue.Clear(false)
	}
	if c.down.left != nil {
		c.down.left.Clear(false)
	}
	for _, cell := range c.byNode {
		if cell.roll.waits {
			c.rollout.waiting.ReplaceOrInsert(c.rollout.turn(cell))
		}
		if cell.queued {
			c.queue.ReplaceOrInsert(c.place(cell))
		}
		c.noteUnavailable(cell, false)
		c.noteLeft(cell, false)
	}
}

// differing returns the names in which two counts differ, sorted.
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
