package daemon

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A template may change while requests of an earlier plan are in flight, and a permit to replace a pod ends
// with the template that it was given for. The requests count all the same (S4): a pod whose delete was sent
// and not answered counts as not serving, and a node for which a surge pod was requested counts as surging
// until that pod is seen, or was read not to exist. Otherwise another node would get the permit that is still in use.
// And while a pod is awaited, a repeated request uses the same name, whatever else is seen of the cell in the meantime.

// seenAfter is when a requested pod that was not seen is read from the API server: it was not created, or deleted before
// the watch showed it, or the watch is late.
const seenAfter = time.Minute

// sent are requests that are not known to be done yet.
type sent struct {
	deletes  []types.UID
	until    time.Time // a pod is awaited, and read at this time; zero when none is
	surge    bool      // it may stand beside another one
	creates  bool      // the plan that is executed now requests a pod: its answer ends the wait, or says for what
	appeared bool      // a pod was seen since then that may be the requested one
	asked    asked     // the last request of a pod
	pod      types.UID // the pod that is awaited; empty while it is not known
	former   types.UID // the pod that was awaited when it was requested again
	after    string    // Cells.After at that time
}

// asked is what a request of a pod was made with.
type asked struct {
	after string
	surge bool
}

func (s *sent) doubts(pod *Pod) bool {
	return s != nil && pod != nil && slices.Contains(s.deletes, pod.UID)
}

func (s *sent) awaits() bool { return s != nil && !s.until.IsZero() }

func (s *sent) surges() bool { return s.awaits() && s.surge }

// restrain returns a plan without requests for a pod while one that exists is awaited: a repeated request might get another
// name, because names may be taken and become free (S1). A request that was not answered is repeated, and its answer tells.
// Otherwise a pod that should have been seen by now is read first.
func (s *sent) restrain(plan Plan, now time.Time) Plan {
	isCreate := func(action Action) bool { return action.Op == Create }
	creates := slices.ContainsFunc(plan.Actions, isCreate)
	switch {
	case !s.awaits(), creates && s.pod == "":
		return plan
	case !s.creates && !now.Before(s.until):
		return Plan{Missed: true}
	case creates:
		plan.Actions = slices.DeleteFunc(plan.Actions, isCreate)
	}
	if len(plan.Actions) == 0 {
		plan.wake(s.until)
	}
	return plan
}

// open reports whether an answer or a pod is awaited.
func (s *sent) open() bool { return s.awaits() || s != nil && len(s.deletes) > 0 }

// Sent records that a plan of a node is being executed: Answered or Lost has to follow.
func (c *Cells) Sent(node string, actions []Action, now time.Time) {
	cell, ok := c.at(node)
	if !ok || len(actions) == 0 {
		return
	}
	s, after := c.sent[node], c.After(node)
	if s == nil {
		s = &sent{}
	}
	s.creates = false
	for i := range actions {
		switch action := &actions[i]; action.Op {
		case Delete:
			s.deletes = append(s.deletes, action.Pod.UID)
		case Create:
			s.until, s.after, s.creates, s.appeared = now.Add(seenAfter), after, true, false
			s.former, s.pod = cmp.Or(s.pod, s.former), ""
			s.surge = s.surge || action.Reason == ReasonSurge
			s.asked = asked{after, s.surge}
		default: // who acts refuses it: nothing is sent
		}
	}
	if c.sent == nil {
		c.sent = map[string]*sent{}
	}
	c.sent[node] = s
	c.recount(cell, now)
}

// Answered records that all requests of a plan were answered. Accepted deletes are recorded by Deleted; made is
// whether a pod was created, which is awaited from now on. The pod of an earlier plan is awaited all the same.
func (c *Cells) Answered(node string, made bool, now time.Time) {
	s := c.sent[node]
	cell, ok := c.at(node)
	if s == nil || !ok {
		delete(c.sent, node)
		return
	}
	s.deletes = nil
	if s.creates && !made {
		s.giveUp()
	}
	s.creates = false
	c.recount(cell, now)
}

// Made records which pod a request created, or found created. Only that one ends the wait: an earlier request of the same name
// may have created another one, which was deleted before this process saw it.
func (c *Cells) Made(node string, uid types.UID, now time.Time) {
	s := c.sent[node]
	cell, ok := c.at(node)
	if s == nil || !ok {
		return
	}
	if slices.ContainsFunc(cell.Pods, func(pod *Pod) bool { return pod.UID == uid }) {
		s.giveUp()
	} else {
		s.until, s.after, s.surge, s.pod, s.former = now.Add(seenAfter), s.asked.after, s.asked.surge, uid, ""
	}
	c.recount(cell, now)
}

// Lost records that a plan of a node ended with a request without an answer. Its deletes stay in doubt until
// Kept or Deleted resolves each.
func (c *Cells) Lost(node string, now time.Time) {
	cell, ok := c.at(node)
	if !ok {
		return
	}
	if s := c.sent[node]; s != nil {
		if s.creates && s.appeared {
			s.giveUp()
		}
		s.creates = false
	}
	c.recount(cell, now)
}

// Unmade records that the pod that a node awaits does not exist.
func (c *Cells) Unmade(node string, now time.Time) {
	s := c.sent[node]
	cell, ok := c.at(node)
	if s == nil || !ok || s.creates {
		return
	}
	s.giveUp()
	c.recount(cell, now)
}

// Kept records that a pod whose delete was in doubt exists and is not terminating.
func (c *Cells) Kept(node string, uid types.UID, now time.Time) {
	c.settle(node, uid)
	if cell, ok := c.at(node); ok {
		c.recount(cell, now)
	}
}

// settle ends the doubt about a pod.
func (c *Cells) settle(node string, uid types.UID) {
	if s := c.sent[node]; s != nil {
		s.deletes = slices.DeleteFunc(s.deletes, func(other types.UID) bool { return other == uid })
	}
}

// seen ends the wait for a requested pod, because it exists, or because a new one does that may be it. While a request
// is under way that has no answer yet, the answer will tell: the pod that is seen may be that of an earlier request, and gone
// by now.
func (c *Cells) seen(node string, uid types.UID) {
	s := c.sent[node]
	switch {
	case s == nil || uid == s.former:
	case s.pod == uid:
		s.giveUp()
	case s.creates:
		s.appeared = true
	case s.pod == "":
		s.giveUp()
	}
}

// giveUp ends the wait for a pod.
func (s *sent) giveUp() {
	s.until, s.surge, s.after, s.pod, s.former = time.Time{}, false, "", "", ""
}

// inDoubt returns the pods of a cell whose delete was sent by an earlier plan and never answered.
func (c *Cells) inDoubt(cell *Cell) (pods []*Pod) {
	s := c.sent[cell.Node]
	for _, pod := range cell.Pods {
		if s.doubts(pod) && !pod.Terminating {
			pods = append(pods, pod)
		}
	}
	return pods
}
