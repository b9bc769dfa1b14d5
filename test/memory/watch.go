package memory

import (
	"sort"

	"github.com/everynode/everynode/test/faults/history"
)

// Cursor is a client's position in the changes of a resource. Changes stay until it is moved: no watch is ever too old.
type Cursor struct {
	api      *API
	resource history.Resource
	next     int
}

// Watch returns a cursor at the changes after a revision.
func (a *API) Watch(resource history.Resource, after int64) *Cursor {
	cursor := &Cursor{api: a, resource: resource}
	cursor.Skip(after)
	return cursor
}

// Pending returns the number of changes that were not read.
func (c *Cursor) Pending() int { return len(c.api.changes[c.resource]) - c.next }

// Next returns the next change, of which there must be one.
func (c *Cursor) Next() Change {
	c.next++
	return c.api.changes[c.resource][c.next-1]
}

// Skip moves the cursor to the changes after a revision.
func (c *Cursor) Skip(after int64) {
	changes := c.api.changes[c.resource]
	c.next = sort.Search(len(changes), func(i int) bool { return changes[i].Revision > after })
}
