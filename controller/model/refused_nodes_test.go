package model

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/everynode/everynode/internal/daemon"
)

// errNotOn is how a policy refuses one node's pod, errWhole how a quota refuses all of a daemon's.
func errNotOn(node string) error { return errors.New("denied: not on " + node) }

var errWhole = errors.New("exceeded quota")

// asker is a daemon on fleetSize nodes, whose cells ask when refusals let them, and an API server that answers each.
type asker struct {
	*state
	clock    *clock
	refuse   func(node int) error
	taken    map[int]time.Time // when a node's pod was
	requests []time.Time
	due      dues
	dueAt    map[int]time.Time // of the entry that counts
}

type due struct {
	at   time.Time
	node int
}
type dues []due

func (d dues) Len() int { return len(d) }
func (d dues) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].node < d[j].node
}
func (d dues) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)   { *d = append(*d, x.(due)) }
func (d *dues) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// fleetSize is enough for a request a node and one a step to be distinguished.
const fleetSize = 3000

func newAsker(refuse func(int) error) *asker {
	a := &asker{clock: &clock{Time: t0}, refuse: refuse, taken: map[int]time.Time{}, dueAt: map[int]time.Time{}}
	a.state = newState(a.clock.Now, nil)
	a.begin()
	if err := a.seeRecorded(makeDaemon("d")); err != nil {
		panic(err)
	}
	for node := range fleetSize {
		a.enqueue(node, 0)
	}
	return a
}

var askerKey = daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}

func cellOf(node int) daemon.CellKey { return askerKey.On(fmt.Sprint(node)) }

func (a *asker) enqueue(node int, after time.Duration) {
	at := a.clock.Time.Add(after)
	if known, waits := a.dueAt[node]; waits && !known.After(at) && !known.Before(a.clock.Time) {
		return
	}
	a.dueAt[node] = at
	heap.Push(&a.due, due{at, node})
}

// run lets time pass.
func (a *asker) run(span time.Duration) {
	end := a.clock.Time.Add(span)
	for len(a.due) > 0 && a.due[0].at.Before(end) {
		next := heap.Pop(&a.due).(due)
		if !a.dueAt[next.node].Equal(next.at) {
			continue
		}
		delete(a.dueAt, next.node)
		a.clock.Time = next.at
		a.ask(next.node)
	}
	a.clock.Time = end
}

func (a *asker) ask(node int) {
	if _, made := a.taken[node]; made {
		return
	}
	if wait, because := a.mayAsk(cellOf(node)); because != nil {
		a.enqueue(node, wait)
		return
	}
	a.requests = append(a.requests, a.clock.Time)
	err := a.refuse(node)
	if err != nil {
		a.refused(cellOf(node), err, errors.Is(err, errWhole))
		a.enqueue(node, time.Second) // the queue's own
		return
	}
	a.taken[node] = a.clock.Time
	for _, cell := range a.woken(func(u Update) { u.Taken(cellOf(node)) }) {
		var woken int
		_, _ = fmt.Sscan(cell.Node, &woken)
		a.enqueue(woken, 0)
	}
}

func (a *asker) since(from time.Time) int {
	at, _ := slices.BinarySearchFunc(a.requests, from, time.Time.Compare)
	return len(a.requests) - at
}

// A policy that refuses the pods of every node costs one request for each of them, ten a second, and those of one back-off (S8).
func TestPolicyRefusesEveryNode(t *testing.T) {
	a := newAsker(func(int) error { return errNotOn("any") })
	a.run(time.Second)
	if got := len(a.requests); got > several+11 {
		t.Errorf("%d requests in the first second, want %d at once and ten more", got, several)
	}
	a.run(time.Hour)
	if got := len(a.requests); got < fleetSize || got > fleetSize+20 {
		t.Errorf("%d requests in an hour, want one for each of %d nodes and those of one back-off", got, fleetSize)
	}
	settled := a.clock.Time
	a.run(24 * time.Hour)
	if got := a.since(settled); got < 90 || got > 100 {
		t.Errorf("%d requests in the next day, want one in 15 minutes", got)
	}
}

// One node that the policy lets have a pod, among all, gets it when its turn comes, with ten a second; and when the policy is gone, all follow within a step.
func TestPolicyRefusesAllNodesButOne(t *testing.T) {
	const good = fleetSize - 7
	gone := false
	a := newAsker(func(node int) error {
		if node == good || gone {
			return nil
		}
		return errNotOn("any")
	})
	a.run(fleetSize*freshEvery + time.Minute)
	if len(a.taken) != 1 || a.taken[good].IsZero() {
		t.Fatalf("%d pods after all had their turn, want the good node's", len(a.taken))
	}
	if got := len(a.requests); got > fleetSize+50 {
		t.Errorf("%d requests, want about one for each node", got)
	}
	a.run(time.Hour)
	gone = true
	a.run(15*time.Minute + time.Second)
	if len(a.taken) != fleetSize {
		t.Errorf("%d nodes have a pod a step after the policy is gone, want all %d", len(a.taken), fleetSize)
	}
}

// A quota holds back all nodes alike, whether or not they asked before; so does a policy's answer no longer count that a quota's follows.
func TestQuotaHoldsBackEveryNode(t *testing.T) {
	a := newAsker(func(int) error { return errWhole })
	a.run(time.Hour)
	if got := len(a.requests); got < 10 || got > 14 {
		t.Errorf("%d requests in an hour, want the 10 to 14 of one back-off", got)
	}
	a.refuse = func(node int) error {
		if node%2 == 0 {
			return errNotOn("any")
		}
		return errWhole
	}
	mixed := a.clock.Time
	a.run(3 * time.Hour)
	if got := a.since(mixed); got > fleetSize {
		t.Errorf("%d requests in three hours of a quota and a policy in turn, want less than one for each of %d nodes", got, fleetSize)
	}
}

// A webhook that answers at random keeps no node waiting for long, and costs few requests more than pods.
func TestWebhookRefusesEverySecondRequest(t *testing.T) {
	asked := 0
	a := newAsker(func(int) error {
		if asked++; asked%2 == 0 {
			return errNotOn("any")
		}
		return nil
	})
	a.run(10 * time.Minute)
	if len(a.taken) != fleetSize {
		t.Errorf("%d nodes have a pod after ten minutes, want all %d", len(a.taken), fleetSize)
	}
	if got := len(a.requests); got > 3*fleetSize {
		t.Errorf("%d requests for %d pods", got, fleetSize)
	}
}
