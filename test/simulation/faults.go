package simulation

import (
	"slices"
	"time"

	"github.com/everynode/everynode/test/faults/history"
)

// A fault is something that goes wrong between the programs.
var faults = []act{
	{"crashes", 2, func(c *Cluster) {
		of := pick(c, c.controllers)
		of.kill()
		if c.chance(70) {
			of.start(c.recently())
		}
	}},
	{"starts", 4, func(c *Cluster) {
		for _, of := range c.controllers {
			if of.process == nil {
				of.start(c.recently())
			}
		}
	}},
	{"stops", 2, func(c *Cluster) {
		of := pick(c, c.controllers)
		of.stopped = !of.stopped
		c.note("controller %s is stopped by a signal: %v", of.name, of.stopped)
		if of.stopped {
			c.clock.Advance(time.Duration(c.random.IntN(60)) * time.Second)
		}
	}},
	{"frozen watches", 4, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			i.frozen = !i.frozen
			c.note("the watch of %s by %s is frozen: %v", string(i.resource), i.process.controller.name, i.frozen)
		})
	}},
	{"watches that restart as lists", 3, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			c.note("the watch of %s by %s ends, and a list follows", string(i.resource), i.process.controller.name)
			i.relist(c.api.Revision())
		})
	}},
	{"coalesced events", 3, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			if pending := i.cursor.Pending(); pending > 1 {
				i.coalesce(1 + c.random.IntN(pending))
			}
		})
	}},
	{"duplicated events", 3, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			if keys := i.keys(); len(keys) > 0 {
				i.resync(pick(c, keys))
			}
		})
	}},
	{"schedulers that see late", 2, func(c *Cluster) {
		of := pick(c, c.schedulers)
		of.frozen = !of.frozen
		c.note("the watches of a scheduler are frozen: %v", of.frozen)
	}},
	{"a webhook that is down", 2, func(c *Cluster) {
		c.webhook = !c.webhook
		c.note("the webhook answers: %v", c.webhook)
	}},
}

// onInformer does something to an informer that has listed, of a process that has begun.
func (c *Cluster) onInformer(do func(*informer)) {
	p := pick(c, c.controllers).process
	if p == nil || !p.begun {
		return
	}
	if i := pick(c, p.informers); i.cursor != nil {
		do(i)
	}
}

// recently returns a revision of the last changes: an API server may answer a list from a watch cache that is late.
func (c *Cluster) recently() int64 {
	if !c.stale || c.chance(60) {
		return c.api.Revision()
	}
	return max(0, c.api.Revision()-int64(c.random.IntN(40)))
}

// losses are the outcomes of requests that are not served, as often as they happen.
var losses = []Outcome{Unreachable, ReplyLost, ReplyLost, Conflict, TooManyRequests, InternalError, Timeout}

// lossy returns outcomes of requests, of which some are not served.
func lossy(of []Outcome) func(*process, *history.Request) Outcome {
	return func(p *process, request *history.Request) Outcome {
		c := p.cluster
		if !c.chance(8) {
			return Served
		}
		outcome := pick(c, of)
		if outcome == Conflict && (request.Verb == "get" || request.Verb == "create" || request.ResourceVersion == "") {
			return Served // the API server gives this answer to a request with a precondition
		}
		return outcome
	}
}

// some returns a random part of acts, each with its weight.
func some(c *Cluster, from []act) []act {
	var chosen []act
	for _, one := range from {
		if c.chance(60) {
			chosen = append(chosen, slices.Repeat([]act{one}, one.weight)...)
		}
	}
	return chosen
}
