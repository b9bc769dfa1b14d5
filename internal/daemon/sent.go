package daemon

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A template may change while requests of an earlier plan are under way, and a permit to replace a pod
// ends with the template that it was given for. What was asked for counts all the same (S4): a pod whose
// delete was sent and not answered serves nobody, and a node for which a surge pod was asked for surges
// until that pod is seen. Otherwise another node would get the permit that is still in use. And while a
// pod is awaited, asking again asks for the same name, whatever else is seen of the cell meanwhile.

// seenAfter is when a pod that was asked for and never seen is given up: it was not made, or deleted
// before the watch showed it.
const seenAfter = time.Minute

// sent is what the API server was asked for and what is not known to be done yet.
type sent struct {
	deletes []types.UID
	until   time.Time // a pod is awaited; zero when none is
	surge   bool      // it may stand beside another one
	after   string    // Cells.After of the time
}

func (s *sent) doubts(pod *Pod) bool {
	return s != nil && pod != nil && slices.Contains(s.deletes, pod.UID)
}

func (s *sent) awaits(now time.Time) bool { return s != nil && now.Before(s.until) }

func (s *sent) surges(now time.Time) bool { return s.awaits(now) && s.surge }

// open says whether an answer or a pod is awaited.
func (s *sent) open(now time.Time) bool { return s.awaits(now) || s != nil && len(s.deletes) > 0 }

// Sent notes that a plan of a node is being carried out: Answered or Lost has to follow.
func (c *Cells) Sent(node string, actions []Action, now time.Time) {
	cell, ok := c.at(node)
	if !ok || len(actions) == 0 {
		return
	}
	s, after := c.sent[node], c.After(node)
	if s == nil {
		s = &sent{}
	}
	for i := range actions {
		switch action := &actions[i]; action.Op {
		case Delete:
			s.deletes = append(s.deletes, action.Pod.UID)
		case Create:
			s.until, s.after = now.Add(seenAfter), after
			s.surge = s.surge || action.Reason == ReasonSurge
		}
	}
	if c.sent == nil {
		c.sent = map[string]*sent{}
	}
	c.sent[node] = s
	c.recount(cell, now)
}

// Answered notes that all that was sent of a plan was answered. Deletes that were taken are known by
// Deleted; made says whether a pod was made, which is awaited from now on.
func (c *Cells) Answered(node string, made bool, now time.Time) {
	s := c.sent[node]
	cell, ok := c.at(node)
	if s == nil || !ok {
		delete(c.sent, node)
		return
	}
	s.deletes = nil
	if !made {
		s.giveUp()
	}
	c.recount(cell, now)
}

// Lost notes that a plan of a node ended with a request whose answer is not known. The deletes of it
// stay in doubt until Kept or Deleted settles each.
func (c *Cells) Lost(node string, now time.Time) {
	if cell, ok := c.at(node); ok {
		c.recount(cell, now)
	}
}

// Kept notes that a pod whose delete was in doubt is there and not terminating.
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

// seen ends the wait for a pod that was asked for: one that is new is there.
func (c *Cells) seen(node string) {
	if s := c.sent[node]; s != nil {
		s.giveUp()
	}
}

// giveUp ends the wait for a pod.
func (s *sent) giveUp() { s.until, s.surge, s.after = time.Time{}, false, "" }

// inDoubt are the pods of a cell whose delete was sent by an earlier plan and never answered.
func (c *Cells) inDoubt(cell *Cell) (pods []*Pod) {
	s := c.sent[cell.Node]
	for _, pod := range cell.Pods {
		if s.doubts(pod) && !pod.Terminating {
			pods = append(pods, pod)
		}
	}
	return pods
}
