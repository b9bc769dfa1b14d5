package checker

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// judgeOne judges S1: how many pods of a cell are bound.
func (s *state) judgeOne(c *cell) {
	s.judged(S1)
	var bound []*pod
	for _, p := range c.pods {
		if p.bound() && !p.finished() && !p.adopted() {
			bound = append(bound, p)
		}
	}
	switch {
	case len(bound) < 2 || len(bound) == 2 && bound[0].revision() != bound[1].revision() && c.daemon.surged:
		return
	case s.gaps.now: // the rest of the list may show that one of them is gone
		s.unjudged(S1)
		return
	}
	names := make([]string, len(bound))
	for i, p := range bound {
		names[i] = p.object.Name + " (revision " + p.revision() + ")"
	}
	slices.Sort(names)
	s.violated(S1, c.key(), "%d pods are bound: %s", len(bound), strings.Join(names, ", "))
}

// adopted reports whether a pod joined its cell when it was bound: it had no controller, which anybody who may change pods
// can bring about, and the daemon adopted it, as in apps/v1.
func (p *pod) adopted() bool {
	return slices.ContainsFunc(p.were, func(former formerOwner) bool { return former.uid == "" })
}

// judgeHeld judges S1 of a pod that was created: in some state of the window nothing held its cell, unless it surges.
func (s *state) judgeHeld(p *pod) {
	w := s.window(p.created, s.now)
	if s.gaps.within(w.from, history.Pods) {
		s.unjudged(S1)
		return
	}
	s.judged(S1)
	var held []*pod
	for _, other := range p.cell.pods {
		if other != p && other.at < w.from && other.holds() && !p.cell.fromFormerNode(other) && len(other.owners(w.from)) == 1 {
			held = append(held, other)
		}
	}
	if len(held) == 0 || len(held) == 1 && held[0].revision() != p.revision() && p.cell.daemon.surged {
		return
	}
	s.violated(S1, p.cell.key(), "pod %s was created although pod %s holds the place", p.object.Name, held[0].object.Name)
}

// holds reports whether a pod holds its place. One that has finished and is terminating runs nothing any more, however
// long a finalizer keeps it.
func (p *pod) holds() bool { return !p.gone && (!p.finished() || p.object.DeletionTimestamp == nil) }

// judgePredecessor judges S1's second clause for a pod that was created in a cell where another one waits or runs: both
// were created after the same predecessor, by processes that saw it vanish and saw nothing after it. A pod of another owner that had
// the name of one of them forced a process to choose the other name.
func (s *state) judgePredecessor(p *pod) {
	if p.created == nil || p.created.View == nil || !p.cell.oneBefore() || s.took(p) {
		return
	}
	for _, other := range p.cell.pods {
		if other == p || s.took(other) || !other.live() || other.created == nil || other.created.View == nil || other.revision() != p.revision() {
			continue
		}
		last := p.cell.last
		if last == nil || last.removed > other.stored || !last.mine || len(p.cell.pods) > 2 || !sawEnd(p.created.View, last) || !sawEnd(other.created.View, last) {
			continue
		}
		s.judged(S1)
		s.violated(S1, p.cell.key(), "pods %s and %s were both created after pod %s, which both of their creators saw vanish", other.object.Name, p.object.Name, last.object.Name)
	}
}

// took reports whether a pod of another owner ever had the name of a pod.
func (s *state) took(p *pod) bool { return s.taken[client.ObjectKeyFromObject(p.object)] }

// oneBefore reports whether the pod that vanished last was alone in its cell when that happened: of several, two processes may
// have seen different ones.
func (c *cell) oneBefore() bool {
	return !c.left && c.last != nil && (c.before == nil || c.before.removed <= c.last.stored)
}

// sawEnd reports whether a sender had seen a pod and that it is gone.
func sawEnd(view *history.View, p *pod) bool {
	to, behind := view.To[history.Pods]
	return view.From < p.stored && (!behind || to >= p.removed)
}

// judgeSent judges S2 of a request: what it would store if admission did nothing.
func (s *state) judgeSent(r *history.Request) {
	if r.Verb != "create" || r.Resource != string(history.Pods) || r.Subresource != "" {
		return
	}
	sent, ok := r.Object.(*corev1.Pod)
	if !ok || sent == nil {
		s.unjudged(S2)
		return
	}
	s.judged(S2)
	if sent.Spec.NodeName != "" && !hasGate(sent, v1alpha1.PlacementGate) {
		s.violated(S2, sent.Namespace+"/"+sent.Name, "it was sent with spec.nodeName %s and without the gate %s: stored as it is, it would bypass the scheduler", sent.Spec.NodeName, v1alpha1.PlacementGate)
	}
}

func hasGate(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) bool { return gate.Name == name })
}

// judgeStored judges S2 of a pod of ours as it was created.
func (s *state) judgeStored(p *pod) {
	s.judged(S2)
	spec := &p.object.Spec
	if spec.NodeName != "" {
		s.violated(S2, p.key(), "it was stored with spec.nodeName %s", spec.NodeName)
		return
	}
	if node, pinned := pinnedTo(spec); !pinned {
		s.violated(S2, p.key(), "it was stored without being pinned to one node by each term of its required affinity")
	} else if sent, known := p.sent(); known && targetOf(sent) != node {
		s.violated(S2, p.key(), "it was sent for node %q and is pinned to %s", targetOf(sent), node)
	}
	if hasGate(p.object, v1alpha1.PlacementGate) {
		s.violated(S2, p.key(), "it was stored with the gate %s, which nobody removes", v1alpha1.PlacementGate)
	}
	sent, known := p.sent()
	if !known {
		return
	}
	for _, gate := range sent.Spec.SchedulingGates {
		if gate.Name != v1alpha1.PlacementGate && !hasGate(p.object, gate.Name) {
			s.violated(S2, p.key(), "admission removed the gate %s of another controller", gate.Name)
		}
	}
}

// judgeBinding judges S2 and S3 of a pod of ours that is on another node than before.
func (s *state) judgeBinding(p *pod, was *corev1.Pod) {
	node := p.object.Spec.NodeName
	if node == "" || node == was.Spec.NodeName {
		if was.Spec.NodeName != "" && node == "" {
			s.violated(S2, p.key(), "it was on node %s and is on none", was.Spec.NodeName)
		}
		return
	}
	s.judged(S2)
	switch {
	case was.Spec.NodeName != "":
		s.violated(S2, p.key(), "it moved from node %s to %s", was.Spec.NodeName, node)
	case len(was.Spec.SchedulingGates) > 0 && len(p.object.Spec.SchedulingGates) > 0:
		s.violated(S2, p.key(), "it was bound with the gate %s", p.object.Spec.SchedulingGates[0].Name)
	case p.target != "" && node != p.target:
		s.violated(S2, p.key(), "it was created for node %s and bound to %s", p.target, node)
	}
	s.judgeFit(p)
}

// judgeFit judges S3 of a pod that was bound: its node fits it, or did when the scheduler may have decided.
func (s *state) judgeFit(p *pod) {
	w := s.window(nil, s.now)
	if s.gaps.now || s.gaps.within(w.from, history.Nodes) {
		s.unjudged(S3)
		return
	}
	s.judged(S3)
	at := s.nodes[p.object.Spec.NodeName]
	if at != nil && slices.ContainsFunc(at.states(w.from), func(node *corev1.Node) bool { return fits(p.object, node) }) {
		return
	}
	s.violated(S3, p.key(), "it was bound to node %s, which does not fit it or does not exist", p.object.Spec.NodeName)
}

// states returns the node as it is and as it was since a record.
func (n *node) states(from int) (all []*corev1.Node) {
	if n.object != nil {
		all = append(all, n.object)
	}
	for i := len(n.was) - 1; i >= 0 && n.was[i].until >= from; i-- {
		all = append(all, n.was[i].object)
	}
	return all
}

// judgeStart judges S3 of a pod that was created: it may start on its node.
func (s *state) judgeStart(p *pod) {
	w := s.window(p.created, s.now)
	if s.gaps.within(w.from, history.Nodes, history.RuntimeClasses, p.cell.daemon.kind) {
		s.unjudged(S3)
		return
	}
	s.judged(S3)
	c := p.cell
	if c.may.start || c.flipped >= w.from || s.allowedBefore(p, w) {
		return
	}
	s.violated(S3, p.key(), "it was created for node %s, where its daemon may not start a pod", p.target)
}

// judgeMade judges S3 of a pod that was created for a node where it may start: it fits the node, unless other admission has
// added to what was sent.
func (s *state) judgeMade(p *pod) {
	c, w := p.cell, s.window(p.created, s.now)
	sent, known := p.sent()
	if !known || !c.may.start || c.flipped >= w.from {
		return
	}
	s.judged(S3)
	alone := sent.DeepCopy()
	alone.Spec.NodeName = ""
	if slices.ContainsFunc(c.at.states(w.from), func(node *corev1.Node) bool { return fits(p.object, node) || fits(alone, node) }) {
		return
	}
	s.violated(S3, p.key(), "it was made so that it does not fit node %s, where its daemon may start a pod", p.target)
}

// allowedBefore reports whether a former spec, from which the pod was made, allows its node: a template is held back until
// its ControllerRevision is stored.
func (s *state) allowedBefore(p *pod, w window) bool {
	d := p.cell.daemon
	for i := len(d.specs) - 1; i >= 0; i-- {
		spec := d.specs[i]
		if !reflects(spec.template, p.object) {
			continue
		}
		for _, node := range p.cell.at.states(w.from) {
			for _, class := range s.classes[spec.className].since(w.from) {
				if evaluate(spec, node, class).start {
					return true
				}
			}
		}
	}
	return false
}

// judgeTerms judges S3 of a stored pod: no node could take it that could not take what was sent.
func (s *state) judgeTerms(p *pod) {
	sent, known := p.sent()
	if !known || sent.Spec.Affinity == nil {
		return
	}
	asked := &corev1.Pod{Spec: corev1.PodSpec{NodeSelector: sent.Spec.NodeSelector, Affinity: sent.Spec.Affinity}}
	before, after := nodeaffinity.GetRequiredNodeAffinity(asked), nodeaffinity.GetRequiredNodeAffinity(p.object)
	s.judged(S3)
	for _, other := range s.nodes {
		if other.object == nil {
			continue
		}
		like := &corev1.Node{ObjectMeta: *other.object.ObjectMeta.DeepCopy()}
		like.Name = p.target // a node of this name with the labels of another one: labels change
		if matches, _ := after.Match(like); !matches {
			continue
		}
		if matched, _ := before.Match(like); !matched {
			s.violated(S3, p.key(), "stored, it could run on a node with the labels of node %s; as it was sent, it could not", other.name)
			return
		}
	}
}

// judgeCreated judges a pod that was created now.
func (s *state) judgeCreated(p *pod) {
	if p.mine {
		s.judgeStored(p)
		if p.cell != nil {
			s.judgeStart(p)
			s.judgeMade(p)
			s.judgeHeld(p)
			s.judgeSurge(p)
			s.judgePredecessor(p)
		}
		s.judgeTerms(p)
	}
	if p.cell != nil {
		s.judgeOne(p.cell)
	}
}

// judgePod judges a change of a pod.
func (s *state) judgePod(p *pod, was *corev1.Pod, removal *removal, loses bool, from *cell) {
	if p.mine && !s.gaps.now {
		s.judgeBinding(p, was)
	}
	if removal != nil && loses && from != nil {
		s.judgeLoss(p, from, removal)
		s.judgeHeldBack(p, from, removal)
		s.judgeStopped(p, from, removal)
	}
	if p.cell != nil && !p.gone {
		s.judgeOne(p.cell)
	}
}

// judgeOwned judges S5: a request of a controller that changes a pod or a ControllerRevision names its UID, and the object
// belongs to a daemon.
func (s *state) judgeOwned(r *asked) {
	changes := r.Verb == "delete" || r.Verb == "patch" || r.Verb == "update" || r.Verb == "deletecollection"
	pods := r.Resource == string(history.Pods)
	if !changes || r.DryRun || !pods && r.Resource != string(history.ControllerRevisions) {
		return
	}
	if r.Unread {
		s.unjudged(S5)
		return
	}
	s.judged(S5)
	if r.UID == "" {
		s.violated(S5, r.Namespace+"/"+r.Name, "%s sent a %s of %s without a UID", r.User, r.Verb, r.Resource)
		return
	}
	if !pods {
		return
	}
	if p := s.pods[r.UID]; p != nil {
		s.judgeOwner(r, p)
	} else {
		s.requests.late = append(s.requests.late, r)
	}
}

// judgeOwner judges who controls the pod that a request names, in the states of its window.
func (s *state) judgeOwner(r *asked, p *pod) {
	w := s.window(r.Request, r.time)
	owners := p.owners(min(w.from, r.at))
	for _, owner := range owners {
		if s.daemons[owner] != nil || owner == "" && r.Verb != "delete" {
			return
		}
	}
	s.violated(S5, p.key(), "%s sent a %s of it, and it is controlled by %s", r.User, r.Verb, fmt.Sprintf("%q", owners))
}

// judgeLate judges requests about pods that were recorded after them.
func (s *state) judgeLate() {
	for _, r := range s.requests.late {
		if p := s.pods[r.UID]; p != nil {
			s.judgeOwner(r, p)
		}
	}
}
