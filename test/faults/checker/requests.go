package checker

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// requests are the creates and deletes of pods whose effect has not been seen.
type requests struct {
	recorded bool // the history has any
	creates  map[types.NamespacedName][]*asked
	deletes  map[types.NamespacedName][]*asked
	named    map[string][]*asked // creates by namespace, whose name the API server generates
	late     []*asked            // those of our controllers about objects that are not known yet
}

// asked is a request that was received.
type asked struct {
	*history.Request
	at   int
	time time.Time
	used bool // its effect was seen
}

func newRequests(h *history.History) requests {
	return requests{
		recorded: slices.ContainsFunc(h.Records, func(r history.Record) bool { return r.Request != nil }),
		creates:  map[types.NamespacedName][]*asked{}, deletes: map[types.NamespacedName][]*asked{}, named: map[string][]*asked{},
	}
}

// mayBeDone reports whether a request may have had an effect, and succeeded that the answer said so.
func mayBeDone(r *history.Request) (may, succeeded bool) {
	succeeded = r.Code >= 200 && r.Code < 300
	return !r.DryRun && (succeeded || r.Code == 0 || r.Code >= 500), succeeded
}

func isEviction(r *history.Request) bool { return r.Verb == "create" && r.Subresource == "eviction" }

// keep keeps a request whose effect is to be seen.
func (q *requests) keep(r *asked) {
	may, _ := mayBeDone(r.Request)
	if !may || r.Resource != string(history.Pods) {
		return
	}
	name := types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
	switch {
	case r.Verb == "delete" && r.Subresource == "" || isEviction(r.Request):
		q.deletes[name] = append(q.deletes[name], r)
	case r.Verb == "create" && r.Subresource == "" && r.Name == "":
		q.named[r.Namespace] = append(q.named[r.Namespace], r)
	case r.Verb == "create" && r.Subresource == "":
		q.creates[name] = append(q.creates[name], r)
	}
}

// choose returns the first request that succeeded, else the last one whose answer is not known.
func choose(all []*asked, matches func(*asked) bool) *asked {
	var unanswered *asked
	for _, r := range all {
		if r.used || !matches(r) {
			continue
		}
		if _, succeeded := mayBeDone(r.Request); succeeded {
			return r
		}
		unanswered = r
	}
	return unanswered
}

// creation returns the request that created a pod, and whether one of our controllers sent it. Without any requests in the
// history all pods of daemons count as ours.
func (q *requests) creation(s *state, pod *corev1.Pod) (created *history.Request, mine bool) {
	if !q.recorded {
		return nil, true
	}
	r := choose(q.creates[client.ObjectKeyFromObject(pod)], func(*asked) bool { return true })
	if r == nil && pod.GenerateName != "" {
		r = choose(q.named[pod.Namespace], func(r *asked) bool {
			return r.Object == nil || strings.HasPrefix(pod.Name, r.Object.GetGenerateName())
		})
	}
	if r == nil {
		return nil, false
	}
	r.used = true
	return r.Request, s.controls[r.User]
}

// removal is how a pod began to end.
type removal struct {
	request *asked // nil if none is known
	unknown bool   // the audit log has a gap
}

// by reports whether one of our controllers deleted the pod.
func (r *removal) by(s *state) bool {
	return r != nil && r.request != nil && s.controls[r.request.User]
}

// taker returns the delete by one of our controllers, nil if it was not one of them.
func (r *removal) taker(s *state) *history.Request {
	if !r.by(s) {
		return nil
	}
	return r.request.Request
}

// removal returns how a pod began to end with the present change, nil if it did not.
func (s *state) removal(p *pod, object *corev1.Pod, deleted bool) *removal {
	if p.gone || p.object.DeletionTimestamp != nil || object.DeletionTimestamp == nil && !deleted {
		return nil
	}
	r := choose(s.requests.deletes[client.ObjectKeyFromObject(object)], func(r *asked) bool {
		return r.UID == object.UID || r.UID == "" && !r.time.Before(object.CreationTimestamp.Time)
	})
	if r == nil {
		return &removal{unknown: s.gaps.ofRequests(s.at, s.at)}
	}
	r.used = true
	p.ended = r
	return &removal{request: r}
}

// removedByOthers reports whether no controller of ours deleted the pod.
func (s *state) removedByOthers(p *pod) bool { return p.ended == nil || !s.controls[p.ended.User] }

// writes reports whether a request changes anything, or tries to.
func writes(r *history.Request) bool {
	switch r.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return !r.DryRun
	}
	return false
}

func (s *state) request(r *history.Request) {
	received := &asked{Request: r, at: s.at, time: s.now}
	s.requests.keep(received)
	if s.stands[r.User] {
		s.judgeBystander(r)
	}
	if !s.ours[r.User] {
		return
	}
	if s.quiet && writes(r) {
		s.judgeQuiet(r)
	}
	switch {
	case s.controls[r.User]:
		s.judgeSent(r)
		s.judgeOwned(received)
		s.countWrite(r)
	case s.schedules[r.User] && r.Resource == string(history.Pods) && r.Verb == "delete" && !r.DryRun:
		s.judgeEviction(received)
	}
}

// sentFor returns the node that a request to create a pod is for, as far as it is known.
func sentFor(r *history.Request) (owner types.UID, node string, known bool) {
	sent, ok := r.Object.(*corev1.Pod)
	if !ok || sent == nil {
		return "", "", false
	}
	return ownerOf(sent), targetOf(sent), true
}
