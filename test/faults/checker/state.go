package checker

import (
	"slices"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/test/faults/history"
)

// state is the cluster at one record of a history.
type state struct {
	h        *history.History
	verdict  *Verdict
	at       int // the index of the present record
	now      time.Time
	revision int64

	pods    map[types.UID]*pod
	names   map[types.NamespacedName]*pod // stored pods
	taken   map[types.NamespacedName]bool // names that pods of others had
	nodes   map[string]*node
	daemons map[types.UID]*daemon
	classes map[string]*class
	records map[types.UID]*revision // ControllerRevisions
	stops   []stopped               // the emergency stop, its present state last
	oracle  oracle
	numbers int // of specs, nodes and classes

	changes   map[history.Resource]*changes
	requests  requests
	gaps      gaps
	faults    faults
	quiet     bool // the cluster has settled and nothing has changed it since
	broken    map[string]bool
	preempted []*eviction
	controls  map[string]bool // the users that are our controllers
	schedules map[string]bool
	ours      map[string]bool // all of our programs
	stands    map[string]bool // bystanders
}

func newState(h *history.History) *state {
	s := &state{
		h: h, verdict: &Verdict{Judged: map[string]int{}, Unjudged: map[string]int{}},
		pods: map[types.UID]*pod{}, names: map[types.NamespacedName]*pod{}, taken: map[types.NamespacedName]bool{}, nodes: map[string]*node{}, daemons: map[types.UID]*daemon{},
		classes: map[string]*class{}, records: map[types.UID]*revision{}, oracle: oracle{}, changes: map[history.Resource]*changes{},
		requests: newRequests(h), gaps: newGaps(h), broken: map[string]bool{},
		controls: set(h.Controllers), schedules: set(h.Schedulers), ours: set(h.Controllers, h.Schedulers, h.Webhooks), stands: set(h.Bystanders),
	}
	return s
}

func set(lists ...[]string) map[string]bool {
	all := map[string]bool{}
	for _, text := range slices.Concat(lists...) {
		all[text] = true
	}
	return all
}

// number returns a new number for something that the oracle is asked about.
func (s *state) number() int {
	s.numbers++
	return s.numbers
}

// step takes the next record.
func (s *state) step(at int) {
	record := &s.h.Records[at]
	s.at, s.now = at, record.At
	switch {
	case record.Change != nil:
		s.revision = record.Revision
		s.gaps.see(at, record)
		s.changesOf(record.Change.Resource).add(record.Revision, record.At, at)
		s.change(record.Change)
	case record.Request != nil:
		s.request(record.Request)
	case record.Mark != nil:
		s.mark(record.Mark)
	}
}

func (s *state) change(c *history.Change) {
	gone := c.Type == watch.Deleted
	switch c.Resource {
	case history.Pods:
		s.podChanged(c.Object.(*corev1.Pod), c.Type)
	case history.Nodes:
		s.nodeChanged(c.Object.(*corev1.Node), gone)
	case history.DaemonSets, history.NativeDaemonSets:
		if s.serves(c.Resource) {
			s.daemonChanged(c.Resource, c.Object, gone)
		}
	case history.RuntimeClasses:
		s.classChanged(c.Object, gone)
	case history.ControllerRevisions:
		s.recordChanged(c.Object, gone)
	case history.ConfigMaps:
		s.stopChanged(c.Object, gone)
	case history.Requests: // of gaps alone
	}
}

// serves reports whether our controller serves a kind.
func (s *state) serves(resource history.Resource) bool {
	if len(s.h.Serves) == 0 {
		return resource == history.DaemonSets
	}
	return slices.Contains(s.h.Serves, resource)
}

func (s *state) mark(m *history.Mark) {
	switch m.Kind {
	case history.FaultBegins:
		s.faults.begin(s.now, m.Everyone)
		s.quiet = false
		s.causeEverywhere()
	case history.FaultEnds:
		s.faults.end(s.now)
		s.causeEverywhere()
	case history.Edited:
		s.quiet = false
	case history.Started:
		s.causeEverywhere()
	case history.Broken:
		s.broken[m.Name] = true
	case history.Repaired:
		delete(s.broken, m.Name)
		s.quiet = false
	case history.Settled:
		s.settled()
	case history.Gap:
		if m.Resource != history.Requests {
			s.gaps.open[m.Resource] = true
		}
	}
}

// changes are the changes of a resource so far.
type changes struct {
	revisions []int64
	times     []time.Time
	indices   []int
}

func (s *state) changesOf(resource history.Resource) *changes {
	known := s.changes[resource]
	if known == nil {
		known = &changes{}
		s.changes[resource] = known
	}
	return known
}

func (c *changes) add(revision int64, at time.Time, index int) {
	c.revisions, c.times, c.indices = append(c.revisions, revision), append(c.times, at), append(c.indices, index)
}

// after returns the index of the first change after a revision, or end.
func (c *changes) after(revision int64, end int) int {
	i := sort.Search(len(c.revisions), func(i int) bool { return c.revisions[i] > revision })
	if i == len(c.indices) {
		return end
	}
	return c.indices[i]
}

// since returns the index of the first change after a time, or end.
func (c *changes) since(at time.Time, end int) int {
	i := sort.Search(len(c.times), func(i int) bool { return c.times[i].After(at) })
	if i == len(c.indices) {
		return end
	}
	return c.indices[i]
}

// window is what a request is judged by: all states since the one before the record with this index.
type window struct {
	from int
	at   time.Time // of the sender's decision, at the latest
}

var decisive = []history.Resource{history.Pods, history.Nodes, history.DaemonSets, history.NativeDaemonSets, history.RuntimeClasses, history.ControllerRevisions, history.ConfigMaps}

// window returns the window of a request that takes effect now. The request is nil if it is not known.
func (s *state) window(r *history.Request, sent time.Time) window {
	if r == nil || r.View == nil {
		from := s.faults.knownSince(sent, s.lag())
		return window{from: s.firstAt(from), at: from}
	}
	w := window{from: s.at, at: r.View.At}
	for _, resource := range decisive {
		known := s.changes[resource]
		if known == nil {
			continue
		}
		if revision, behind := r.View.To[resource]; behind {
			w.from = min(w.from, known.after(revision, s.at))
		} else {
			w.from = min(w.from, known.since(r.View.At, s.at))
		}
	}
	return w
}

// firstAt returns the index of the first record that is not older than a time.
func (s *state) firstAt(at time.Time) int {
	return sort.Search(s.at, func(i int) bool { return !s.h.Records[i].At.Before(at) })
}

func (s *state) lag() time.Duration {
	if s.h.Lag > 0 {
		return s.h.Lag
	}
	return history.DefaultLag
}

// faults are the times of disturbance.
type faults struct {
	depth    int
	everyone int // depth since a fault of the API server itself
	began    time.Time
	ended    time.Time
	serverUp time.Time
}

func (f *faults) begin(now time.Time, everyone bool) {
	if f.depth == 0 {
		f.began = now
	}
	f.depth++
	if everyone || f.everyone > 0 {
		f.everyone++
	}
}

func (f *faults) end(now time.Time) {
	f.depth = max(f.depth-1, 0)
	f.ended = now
	if f.everyone > 0 {
		if f.everyone--; f.everyone == 0 {
			f.serverUp = now
		}
	}
}

// knownSince returns the time whose state every client has seen.
func (f *faults) knownSince(now time.Time, lag time.Duration) time.Time {
	since := now.Add(-lag)
	disturbed := f.depth > 0 || !f.ended.IsZero() && f.ended.After(since)
	if disturbed && f.began.Add(-lag).Before(since) {
		return f.began.Add(-lag)
	}
	return since
}
