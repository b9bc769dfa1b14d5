package checker

import (
	"github.com/everynode/everynode/test/faults/history"
)

// gaps are the parts of a history that the observer missed.
type gaps struct {
	open     map[history.Resource]bool
	listed   map[history.Resource]int64 // the revision of the list after the last gap
	last     map[history.Resource]int   // the index of the last record of that list
	now      bool                       // the present change is part of a list
	requests []span                     // of the audit log
}

type span struct{ from, to int }

// newGaps finds the gaps of the audit log. Those of other resources are found on the way.
func newGaps(h *history.History) gaps {
	g := gaps{open: map[history.Resource]bool{}, listed: map[history.Resource]int64{}, last: map[history.Resource]int{}}
	last, open := -1, false
	for i := range h.Records {
		switch r := &h.Records[i]; {
		case r.Request != nil:
			if open {
				g.requests[len(g.requests)-1].to, open = i, false
			}
			last = i
		case r.Mark != nil && r.Mark.Kind == history.Gap && r.Mark.Resource == history.Requests && !open:
			g.requests, open = append(g.requests, span{last, len(h.Records)}), true
		}
	}
	return g
}

// see notes whether a change is part of the list that follows a gap.
func (g *gaps) see(at int, r *history.Record) {
	resource := r.Change.Resource
	if g.open[resource] {
		g.open[resource], g.listed[resource] = false, r.Revision
	}
	g.now = g.listed[resource] == r.Revision && r.Revision != 0
	if g.now {
		g.last[resource] = at
	}
}

// within reports whether the states of a window are incomplete.
func (g *gaps) within(from int, resources ...history.Resource) bool {
	for _, resource := range resources {
		if last, some := g.last[resource]; g.open[resource] || some && last >= from {
			return true
		}
	}
	return false
}

// ofRequests reports whether requests between two records may be missing.
func (g *gaps) ofRequests(from, to int) bool {
	for _, gap := range g.requests {
		if gap.from <= to && from <= gap.to {
			return true
		}
	}
	return false
}
