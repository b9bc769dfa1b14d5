package checker

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// pod is a pod that exists or existed.
type pod struct {
	object  *corev1.Pod
	gone    bool
	mine    bool             // one of our controllers created it
	created *history.Request // nil if it is not known
	ended   *asked           // the delete that began its end; nil if it is not known
	at      int              // the index of the record that created it
	boundAt int              // the index of the record that bound it; -1 if it was not bound since
	stored  int64            // the revision of that record
	removed int64            // the revision at which it vanished
	goneAt  int              // the index of the record with which it vanished
	target  string           // the node that it was created for
	cell    *cell            // nil if it belongs to no daemon or to no node
	served  bool             // it was ever ready
	// were are its former controllers, with the index of the record that ended each.
	were []formerOwner
}

type formerOwner struct {
	uid   types.UID
	until int
}

func (p *pod) key() string { return p.object.Namespace + "/" + p.object.Name }

func (p *pod) revision() string { return p.object.Labels[appsv1.ControllerRevisionHashLabelKey] }

func (p *pod) finished() bool {
	return p.object.Status.Phase == corev1.PodFailed || p.object.Status.Phase == corev1.PodSucceeded
}

func (p *pod) live() bool { return !p.gone && p.object.DeletionTimestamp == nil && !p.finished() }

func (p *pod) bound() bool { return p.object.Spec.NodeName != "" }

// readySince is when the pod became ready, to the second, as it is stored.
func (p *pod) readySince() (since time.Time, ready bool) {
	for i := range p.object.Status.Conditions {
		if c := &p.object.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Truncate(time.Second), true
		}
	}
	return time.Time{}, false
}

// available reports whether the pod serves its node at a time.
func (p *pod) available(at time.Time) bool {
	return p.cell != nil && p.availableBy(p.cell.daemon.spec(), at)
}

// availableBy reports whether the pod serves its node at a time, by a spec's minReadySeconds.
func (p *pod) availableBy(spec *spec, at time.Time) bool {
	if p.cell == nil || !p.live() || !p.bound() || p.cell.fromFormerNode(p) {
		return false
	}
	since, ready := p.readySince()
	return ready && (spec.minReady == 0 || !since.Add(time.Duration(spec.minReady)*time.Second).After(at))
}

func ownerOf(object metav1.Object) types.UID {
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		return owner.UID
	}
	return ""
}

// pinnedTo returns the one node that each of the required terms of a pod names. Terms without requirements match nothing.
func pinnedTo(spec *corev1.PodSpec) (node string, pinned bool) {
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil || spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return "", false
	}
	for _, term := range spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(term.MatchFields)+len(term.MatchExpressions) == 0 {
			continue
		}
		names := namesOf(&term)
		if len(names) == 0 || pinned && !slices.Contains(names, node) {
			return "", false
		}
		if !pinned {
			node, pinned = names[0], true
		}
	}
	return node, pinned
}

// namesOf returns the nodes that a term names. A term that names two matches none.
func namesOf(term *corev1.NodeSelectorTerm) (names []string) {
	for _, field := range term.MatchFields {
		if field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1 {
			names = append(names, field.Values[0])
		}
	}
	return names
}

func targetOf(object *corev1.Pod) string {
	if object.Spec.NodeName != "" {
		return object.Spec.NodeName
	}
	node, _ := pinnedTo(&object.Spec)
	return node
}

func (s *state) podChanged(object *corev1.Pod, event watch.EventType) {
	p := s.pods[object.UID]
	if p == nil {
		s.podAdded(object, event)
		return
	}
	was, deleted := p.object, event == watch.Deleted
	owner, before := ownerOf(object), ownerOf(was)
	moves := owner != before || p.cell == nil || p.target != "" && object.Spec.NodeName != "" && object.Spec.NodeName != p.cell.node
	removal := s.removal(p, object, deleted)
	from := p.cell
	if owner != before {
		p.were = append(p.were, formerOwner{before, s.at})
	}
	change := func() {
		if object.Spec.NodeName != "" && was.Spec.NodeName == "" {
			p.boundAt = s.at
		}
		p.object, p.gone = object, deleted
		if _, ready := p.readySince(); ready {
			p.served = true
		}
		if moves {
			s.place(p)
		}
	}
	loses := removal != nil && p.available(s.now)
	if from == nil {
		change()
	} else {
		from.touched(s, p, removal.taker(s), change)
	}
	if deleted {
		s.forget(p)
	}
	s.judgePod(p, was, removal, loses, from)
}

// forget removes a pod that is gone from the stored ones.
func (s *state) forget(p *pod) {
	p.removed, p.goneAt = s.revision, s.at
	if name := client.ObjectKeyFromObject(p.object); s.names[name] == p {
		delete(s.names, name)
	}
	if c := p.cell; c != nil {
		c.remove(p)
		if c.before, c.last = c.last, p; p.served || s.removedByOthers(p) {
			c.cause(s.now)
		}
	}
}

// place puts a pod into the cell that it belongs to now.
func (s *state) place(p *pod) {
	if p.cell != nil {
		p.cell.left = true
		p.cell.remove(p)
		p.cell = nil
	}
	d, target := s.daemons[ownerOf(p.object)], p.target
	if p.object.Spec.NodeName != "" {
		target = p.object.Spec.NodeName
	}
	if d == nil || target == "" {
		return
	}
	p.cell = s.cell(d, target)
	p.cell.pods = append(p.cell.pods, p)
}

// podAdded takes a pod that was not known. If it is gone at once, a gap hid it.
func (s *state) podAdded(object *corev1.Pod, event watch.EventType) {
	p := &pod{object: object, at: s.at, boundAt: -1, stored: s.revision, target: targetOf(object)}
	s.pods[object.UID] = p
	if event == watch.Deleted {
		p.gone, p.removed = true, s.revision
		return
	}
	if former := s.names[client.ObjectKeyFromObject(object)]; former != nil { // a gap hid its end
		former.gone = true
		former.cell.remove(former)
	}
	s.names[client.ObjectKeyFromObject(object)] = p
	_, p.served = p.readySince()
	existed := s.revision <= s.h.Began
	if d := s.daemons[ownerOf(object)]; d != nil && !existed {
		p.created, p.mine = s.requests.creation(s, object)
	}
	s.enter(p)
	if p.cell == nil && !p.mine {
		s.taken[client.ObjectKeyFromObject(object)] = true
		return
	}
	if existed || s.gaps.now || event != watch.Added {
		s.unjudgedPod(p)
		return
	}
	s.judgeCreated(p)
}

// enter puts a new pod into its cell.
func (s *state) enter(p *pod) {
	d := s.daemons[ownerOf(p.object)]
	if d == nil || p.target == "" {
		return
	}
	c := s.cell(d, p.target)
	was := c.available(s.now)
	c.excuse(s)
	s.place(p)
	c.note(s, was, nil)
}

// unjudgedPod counts what cannot be judged about a pod whose creation was not seen.
func (s *state) unjudgedPod(p *pod) {
	for _, id := range []string{S2, S3} {
		s.unjudged(id)
	}
	if p.cell != nil {
		s.judgeOne(p.cell)
	}
}

// cell is a daemon on a node.
type cell struct {
	daemon *daemon
	node   string
	at     *node
	pods   []*pod // those that exist
	last   *pod   // the one that vanished last
	before *pod   // the one that vanished before that
	left   bool   // a pod left it without vanishing

	may     may
	flipped int // the index at which may.start changed last

	lost   int              // the index at which the cell lost its available pod; -1 if it never had one
	taker  *history.Request // the delete of one of our controllers to which it lost it; nil if there is none
	losses []loss           // of each of its pods
	// excusedAt is the index at which the cell was last blocked; -1 if it never was.
	excusedAt int

	writes []time.Time // of our controllers, for this cell
	evicts []time.Time // of our schedulers
	causes []time.Time // of legitimate writes
}

// loss is a pod that stopped being available.
type loss struct {
	pod *pod
	at  int
}

func (s *state) cell(d *daemon, name string) *cell {
	c := d.cells[name]
	if c == nil {
		c = &cell{daemon: d, node: name, lost: -1, excusedAt: -1, flipped: -1}
		d.cells[name] = c
		if s.nodes[name] == nil {
			s.nodes[name] = &node{name: name}
		}
		c.at = s.nodes[name]
		if len(d.specs) > 0 {
			c.judge(s)
		}
	}
	return c
}

func (c *cell) key() string { return c.daemon.key.String() + " on " + c.node }

func (c *cell) remove(p *pod) {
	if c != nil {
		c.pods = slices.DeleteFunc(c.pods, func(other *pod) bool { return other == p })
	}
}

// judge asks what the daemon may do on the node now.
func (c *cell) judge(s *state) {
	now := may{}
	if spec := c.daemon.spec(); c.at.object != nil && !c.daemon.gone {
		var of *class
		if spec.className != "" {
			of = s.classes[spec.className]
		}
		now = s.oracle.ask(spec, c.at, of)
	}
	if now.start != c.may.start {
		c.flipped = s.at
	}
	c.may = now
}

// fromFormerNode reports whether a pod was created for another node of this name.
func (c *cell) fromFormerNode(p *pod) bool {
	uid := p.object.Annotations[v1alpha1.NodeUIDAnnotation]
	return c.at.object == nil || uid != "" && uid != string(c.at.object.UID)
}

func (c *cell) available(at time.Time) bool {
	return slices.ContainsFunc(c.pods, func(p *pod) bool { return p.available(at) })
}

// seemsAvailable reports whether a pod serves the node by one of the specs of a window.
func (c *cell) seemsAvailable(at time.Time, w window) bool {
	return slices.ContainsFunc(c.daemon.specsSince(w.from), func(spec *spec) bool {
		return slices.ContainsFunc(c.pods, func(p *pod) bool { return p.availableBy(spec, at) })
	})
}

// touch changes something of a cell.
func (s *state) touch(c *cell, change func()) {
	was := c.available(s.now)
	c.excuse(s)
	change()
	c.note(s, was, nil)
}

// touched changes a pod of a cell.
func (c *cell) touched(s *state, p *pod, taker *history.Request, change func()) {
	was, podWas := c.available(s.now), p.available(s.now)
	c.excuse(s)
	change()
	if podWas && !p.available(s.now) {
		c.losses = append(c.losses, loss{p, s.at})
	}
	c.note(s, was, taker)
}

// note records that the cell lost its available pod, or has one.
func (c *cell) note(s *state, was bool, taker *history.Request) {
	switch is := c.available(s.now); {
	case was && !is:
		c.lost, c.taker = s.at, taker
	case is:
		c.taker = nil
	}
	c.excuse(s)
}

// cause records a reason for writes (S8).
func (c *cell) cause(at time.Time) { c.causes = append(c.causes, at) }

func (s *state) causeEverywhere() {
	for _, d := range s.daemons {
		for _, c := range d.cells {
			c.cause(s.now)
		}
	}
}
