package checker

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// owners returns who controlled the pod since a record.
func (p *pod) owners(from int) []types.UID {
	owners := []types.UID{ownerOf(p.object)}
	for _, former := range p.were {
		if former.until >= from {
			owners = append(owners, former.uid)
		}
	}
	return owners
}

// judgeLoss judges S4 when a delete takes effect on an available pod.
func (s *state) judgeLoss(p *pod, c *cell, removal *removal) {
	switch {
	case removal.unknown, s.gaps.now, !s.requests.recorded:
		s.unjudged(S4)
		return
	case !removal.by(s):
		return
	}
	r := removal.request
	w := s.window(r.Request, r.time)
	w.from = min(w.from, r.at)
	if !s.takes(p, c, w) {
		return
	}
	if s.gaps.within(w.from, history.Pods, history.Nodes, history.RuntimeClasses, c.daemon.kind) || s.gaps.ofRequests(w.from, s.at) {
		s.unjudged(S4)
		return
	}
	s.judged(S4)
	without := s.without(c, w, r.Request)
	if most, _ := c.daemon.most(w); len(without) > most {
		s.violated(S4, c.daemon.key.String(), "the delete of pod %s, which was available, leaves %d nodes without an available pod (%s), at most %d may be",
			p.object.Name, len(without), strings.Join(without, ", "), most)
	}
}

// takes reports whether the delete of an available pod takes the last one of a node that was eligible all the time.
func (s *state) takes(p *pod, c *cell, w window) bool {
	if !s.eligible(c, w) || c.available(s.now) || !s.recordedBefore(c.daemon, w.from) {
		return false
	}
	since, _ := p.readySince()
	for _, spec := range c.daemon.specsSince(w.from) {
		if wait := time.Duration(spec.minReady) * time.Second; wait > 0 && since.Add(wait).After(w.at) {
			return false // it became available by time alone, or by an edit of minReadySeconds, which no precondition covers
		}
	}
	for _, loss := range slices.Backward(c.losses) {
		if loss.at < w.from {
			break
		}
		if loss.pod != p {
			return false // another pod was available when the sender looked
		}
	}
	return true
}

// eligible reports whether a pod could start on a node in all states of the window, and in all combinations of them: a sender
// may have seen a node as it was and a RuntimeClass as it is.
func (s *state) eligible(c *cell, w window) bool {
	if !c.may.start || c.flipped >= w.from {
		return false
	}
	nodes, specs := c.at.states(w.from), c.daemon.specsSince(w.from)
	for _, spec := range specs {
		classes := s.classes[spec.className].since(w.from)
		if len(nodes)*len(specs)*len(classes) == 1 {
			return true // it is the present state
		}
		for _, node := range nodes {
			for _, class := range classes {
				if !evaluate(spec, node, class).start {
					return false
				}
			}
		}
	}
	return true
}

// specsSince returns the present spec, and those that held since a record.
func (d *daemon) specsSince(from int) []*spec {
	first := len(d.specs) - 1
	for first > 0 && d.specs[first].from >= from {
		first--
	}
	return d.specs[first:]
}

// recordedBefore reports whether the present template had a ControllerRevision at a record. Until it has, nodes are judged by the
// template that it replaces. A history may have no ControllerRevisions.
func (s *state) recordedBefore(d *daemon, at int) bool {
	none := true
	for _, record := range s.records {
		if ownerOf(record.object) != d.uid {
			continue
		}
		if none = false; record.at >= at {
			continue
		}
		var data struct {
			Spec struct {
				Template *corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}
		if json.Unmarshal(record.object.Data.Raw, &data) == nil && equality.Semantic.DeepEqual(data.Spec.Template, d.spec().template) {
			return true
		}
	}
	return none
}

// without returns the nodes without an available pod that count against the budget.
func (s *state) without(deleted *cell, w window, by *history.Request) (nodes []string) {
	d := deleted.daemon
	for _, name := range slices.Sorted(maps.Keys(d.cells)) {
		c := d.cells[name]
		if c == deleted {
			nodes = append(nodes, name)
			continue
		}
		if !s.eligible(c, w) || c.excusable(w) || c.mayBeDead(s, w) || c.seemsAvailable(s.now, w) {
			continue
		}
		if c.lost < w.from || c.taker != nil && sameProcess(c.taker, by) {
			nodes = append(nodes, name)
		}
	}
	return nodes
}

// most returns the largest limits of all specs of a window.
func (d *daemon) most(w window) (unavailable, surge int) {
	desired := 0
	for _, c := range d.cells {
		if c.may.start || c.flipped >= w.from {
			desired++
		}
	}
	for i := len(d.specs) - 1; i >= 0; i-- {
		u, s := d.specs[i].allowed(desired)
		unavailable, surge = max(unavailable, u), max(surge, s)
		if d.specs[i].from < w.from {
			break
		}
	}
	return unavailable, surge
}

// judgeSurge judges S4 when a pod is created beside one of another revision.
func (s *state) judgeSurge(p *pod) {
	w := s.window(p.created, s.now)
	c := p.cell
	if !c.surges() || !s.eligible(c, w) {
		return
	}
	if s.gaps.within(w.from, history.Pods, history.Nodes, c.daemon.kind) {
		s.unjudged(S4)
		return
	}
	s.judged(S4)
	var nodes []string
	for _, name := range slices.Sorted(maps.Keys(c.daemon.cells)) {
		if other := c.daemon.cells[name]; s.eligible(other, w) && other.surges() && !other.excusable(w) && !other.mayBeDead(s, w) && other.surgeKnown(p, w) {
			nodes = append(nodes, name)
		}
	}
	if _, most := c.daemon.most(w); len(nodes) > most {
		s.violated(S4, c.daemon.key.String(), "pod %s surges, and with it %s, at most %d nodes may", p.object.Name, fmt.Sprintf("%d nodes (%s)", len(nodes), strings.Join(nodes, ", ")), most)
	}
}

// surgeKnown reports whether the sender of a create knew that a cell surges: it has seen all of its pods, or created those that
// it has not seen.
func (c *cell) surgeKnown(p *pod, w window) bool {
	return !slices.ContainsFunc(c.pods, func(other *pod) bool {
		return other.live() && other.at >= w.from && (other.created == nil || !sameProcess(other.created, p.created))
	})
}

// sameProcess reports whether two requests came from the same process, as far as that is known.
func sameProcess(a, b *history.Request) bool {
	return a == nil || b == nil || a.View == nil || b.View == nil || a.View.Process == b.View.Process
}

// selects reports whether the daemon's selector matches the labels of a pod. Otherwise the pod is to be released.
func (d *daemon) selects(pod *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(d.spec().selector)
	return err == nil && selector.Matches(labels.Set(pod.Labels))
}

// surges reports whether a pod that was created to surge is beside one of another revision.
func (c *cell) surges() bool {
	var live []*pod
	marked := false
	for _, p := range c.pods {
		if p.live() && !c.fromFormerNode(p) && c.daemon.selects(p.object) {
			live, marked = append(live, p), marked || p.object.Annotations[v1alpha1.SurgeAnnotation] == "true"
		}
	}
	return marked && slices.ContainsFunc(live, func(p *pod) bool { return p.revision() != live[0].revision() })
}
