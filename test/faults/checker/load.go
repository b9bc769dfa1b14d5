package checker

import (
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/test/faults/history"
)

// judgeBystander judges S7.
func (s *state) judgeBystander(r *history.Request) {
	within := s.h.BystandersWithin
	if within == 0 {
		within = history.DefaultBystandersWithin
	}
	if s.faults.everyone > 0 || !s.faults.serverUp.IsZero() && s.now.Sub(s.faults.serverUp) < within {
		s.unjudged(S7)
		return
	}
	s.judged(S7)
	if _, succeeded := mayBeDone(r); !succeeded || r.Took > within {
		s.violated(S7, r.User, "its request took %v and was answered with %d %s: %s", r.Took, r.Code, r.Reason, r)
	}
}

// countWrite counts a write of a controller for a cell (S8).
func (s *state) countWrite(r *history.Request) {
	if r.Resource != string(history.Pods) || !writes(r) {
		return
	}
	if c := s.cellOf(r); c != nil {
		c.writes = append(c.writes, s.now)
	}
}

// cellOf returns the cell that a request is for, nil if it is not known.
func (s *state) cellOf(r *history.Request) *cell {
	if r.Verb == "create" {
		owner, node, known := sentFor(r)
		if d := s.daemons[owner]; known && d != nil && node != "" {
			return s.cell(d, node)
		}
		return nil
	}
	if p := s.pods[r.UID]; p != nil {
		return p.cell
	}
	if p := s.names[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}]; p != nil {
		return p.cell
	}
	return nil
}

// periods are those in which writes are bounded.
var periods = []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// maxBackOff is the longest wait of the back-off.
const maxBackOff = 15 * time.Minute

// Of one attempt: a create that admission does not place, a create without admission, and the delete of the pod.
const writesAnAttempt = 3

// Attempts that do not wait: the first, the retry of a finished pod, and four that vanished.
const freeAttempts = 6

// attempts is how often a pod that never runs may be tried in a period.
func attempts(period time.Duration) int {
	return freeAttempts + int(math.Ceil(math.Log2(1+min(period, maxBackOff).Seconds()))) + int(period/maxBackOff)
}

// attemptsForCause is how many attempts each legitimate cause of a write explains: each of two controllers may do what
// it asks for, and again after a conflict.
const attemptsForCause = 4

// judgeLoad judges S8, and S5 of the requests that it had to wait with.
func (s *state) judgeLoad() {
	s.judgeLate()
	for _, uid := range slices.Sorted(maps.Keys(s.daemons)) {
		d := s.daemons[uid]
		for _, name := range slices.Sorted(maps.Keys(d.cells)) {
			c := d.cells[name]
			s.judgeRate(c, "writes of controllers", c.writes, writesAnAttempt)
			s.judgeRate(c, "evictions by schedulers", c.evicts, evictionsAnAttempt)
		}
	}
}

// judgeRate judges S8 for the times of one kind of writes.
func (s *state) judgeRate(c *cell, what string, times []time.Time, each int) {
	if len(times) == 0 {
		return
	}
	if len(s.gaps.requests) > 0 {
		s.unjudged(S8)
		return
	}
	s.judged(S8)
	for _, period := range periods {
		if n, most, from := busiest(times, c.causes, period, each); n > most {
			s.violated(S8, c.key(), "%d %s within %v from %s on, at most %d are explained by back-off and by what happened", n, what, period, from.UTC().Format("15:04:05.000"), most)
			return
		}
	}
}

// busiest returns the number of writes in the period with the most unexplained ones, and how many it explains.
func busiest(times, causes []time.Time, period time.Duration, each int) (n, most int, from time.Time) {
	excess := math.MinInt
	end, causeFrom, causeTo := 0, 0, 0
	for i, start := range times {
		for end < len(times) && times[end].Sub(start) <= period {
			end++
		}
		for causeFrom < len(causes) && start.Sub(causes[causeFrom]) > period { // a cause explains what follows it within a period
			causeFrom++
		}
		causeTo = max(causeTo, causeFrom)
		for causeTo < len(causes) && causes[causeTo].Sub(start) <= period {
			causeTo++
		}
		bound := each * (attempts(period) + attemptsForCause*(causeTo-causeFrom))
		if count := end - i; count-bound > excess {
			excess, n, most, from = count-bound, count, bound, start
		}
	}
	return n, most, from
}
