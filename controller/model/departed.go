package model

import "github.com/everynode/everynode/internal/daemon"

// maxDeparted bounds how many cells are remembered whose last pod left. Anybody who may create pods can invent owners, so the
// oldest is forgotten first.
const maxDeparted = 1024

// departed remembers what the name of a cell's next pod depends on (Cells.After) when the cell was dropped: its last pod left
// before this process saw the DaemonSet, or while it did not know the node. A second active controller, whose watches are not
// late, derives the next name from that pod, and the names of the two must be equal (S1). The zero value is ready to use.
type departed struct {
	cells map[daemon.CellKey]leaving
	ring  []daemon.CellKey // the cells in the order in which they were added, some of which were dropped since
	next  int              // the oldest of a full ring
}

// leaving is a remembered cell.
type leaving struct {
	after string
	slot  int // in the ring
}

// add remembers a cell, in place of the oldest.
func (d *departed) add(cell daemon.CellKey, after string) {
	if known, ok := d.cells[cell]; ok {
		d.cells[cell] = leaving{after: after, slot: known.slot}
		return
	}
	if d.cells == nil {
		d.cells = map[daemon.CellKey]leaving{}
	}
	slot := d.next
	if len(d.ring) < maxDeparted {
		slot = len(d.ring)
		d.ring = append(d.ring, cell)
	} else {
		if oldest := d.ring[slot]; d.cells[oldest].slot == slot {
			delete(d.cells, oldest)
		}
		d.ring[slot] = cell
		d.next = (slot + 1) % maxDeparted
	}
	d.cells[cell] = leaving{after: after, slot: slot}
}

// after returns what was remembered of a cell, or nothing.
func (d *departed) after(cell daemon.CellKey) string { return d.cells[cell].after }

// drop forgets a cell, which has a pod again.
func (d *departed) drop(cell daemon.CellKey) { delete(d.cells, cell) }
