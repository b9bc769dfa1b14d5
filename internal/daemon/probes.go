package daemon

import (
	"cmp"
	"strings"
	"time"

	"github.com/google/btree"
)

// Probes are the cells to probe and when. Namespaces take turns, so that none can use up the probes of others;
// within a namespace the earliest cell comes first. The zero value is empty and ready to use. It is not safe
// for concurrent use.
type Probes struct {
	at   map[CellKey]time.Time
	due  map[string]*btree.BTreeG[probe] // by namespace
	last string                          // the namespace that had the last turn
	ring *btree.BTreeG[string]           // of namespaces
}

type probe struct {
	at   time.Time
	cell CellKey
}

func (p probe) earlier(other probe) bool {
	return cmp.Or(p.at.Compare(other.at), strings.Compare(p.cell.Node, other.cell.Node), strings.Compare(string(p.cell.Owner), string(other.cell.Owner))) < 0
}

// Set schedules the probe of a cell, and replaces an earlier schedule.
func (p *Probes) Set(cell CellKey, at time.Time) {
	if before, known := p.at[cell]; known && before.Equal(at) {
		return
	}
	p.Clear(cell)
	if p.at == nil {
		p.at, p.due, p.ring = map[CellKey]time.Time{}, map[string]*btree.BTreeG[probe]{}, btree.NewOrderedG[string](8)
	}
	p.at[cell] = at
	if p.due[cell.Namespace] == nil {
		p.due[cell.Namespace] = btree.NewG(8, probe.earlier)
		p.ring.ReplaceOrInsert(cell.Namespace)
	}
	p.due[cell.Namespace].ReplaceOrInsert(probe{at, cell})
}

// Clear removes the probe of a cell.
func (p *Probes) Clear(cell CellKey) {
	at, known := p.at[cell]
	if !known {
		return
	}
	delete(p.at, cell)
	due := p.due[cell.Namespace]
	due.Delete(probe{at, cell})
	if due.Len() == 0 {
		delete(p.due, cell.Namespace)
		p.ring.Delete(cell.Namespace)
	}
}

// Next removes and returns the cell to probe now; false if none is due.
func (p *Probes) Next(now time.Time) (next CellKey, due bool) {
	if p.ring == nil {
		return CellKey{}, false
	}
	look := func(namespace string) bool {
		if first, _ := p.due[namespace].Min(); !first.at.After(now) {
			next, due = first.cell, true
		}
		return !due
	}
	p.ring.AscendGreaterOrEqual(p.last+"\x00", look) // namespaces after the last one; names do not contain this byte
	if !due {
		p.ring.AscendLessThan(p.last+"\x00", look)
	}
	if due {
		p.last = next.Namespace
		p.Clear(next)
	}
	return next, due
}

// Len returns the number of cells to probe.
func (p *Probes) Len() int { return len(p.at) }
