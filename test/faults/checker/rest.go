package checker

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/test/faults/history"
)

// settled judges L1 and L3, and from now on L2.
func (s *state) settled() {
	s.quiet = true
	if s.gaps.ofRequests(s.at, len(s.h.Records)) || !s.requests.recorded {
		s.unjudged(L2)
	} else {
		s.judged(L2)
	}
	if s.gaps.open[history.Pods] || s.gaps.open[history.Nodes] {
		for _, id := range []string{L1, L3, S3} {
			s.unjudged(id)
		}
		return
	}
	for _, uid := range slices.Sorted(maps.Keys(s.daemons)) {
		d := s.daemons[uid]
		if d.gone || d.object.GetDeletionTimestamp() != nil || !d.servable() {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(d.cells)) {
			if c := d.cells[name]; c.at.object != nil {
				s.judgeCovered(c)
			}
		}
		s.judgePartition(d)
		s.judgeWave(d)
	}
	for _, uid := range slices.SortedFunc(maps.Keys(s.pods), func(a, b types.UID) int {
		return cmp.Or(strings.Compare(s.pods[a].key(), s.pods[b].key()), strings.Compare(string(a), string(b)))
	}) {
		if p := s.pods[uid]; !p.gone {
			s.judgeLeft(p)
		}
	}
}

// servable reports whether the controller is to serve the spec. A selector that does not match its own template, which
// validation refuses, is not served.
func (d *daemon) servable() bool {
	spec := d.spec()
	if spec.selector == nil || len(spec.selector.MatchLabels)+len(spec.selector.MatchExpressions) == 0 {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(spec.selector)
	return err == nil && selector.Matches(labels.Set(spec.template.Labels))
}

// judgeCovered judges L1 of a node, and S3 of one that the daemon must leave.
func (s *state) judgeCovered(c *cell) {
	if !c.may.stay {
		s.judged(S3)
		for _, p := range c.pods {
			s.violated(S3, p.key(), "it is still on node %s, which its daemon must leave", c.node)
		}
		return
	}
	if !c.may.start {
		s.judged(L1)
		if len(c.pods) > 1 {
			s.violated(L1, c.key(), "%d pods are left", len(c.pods))
		}
		return
	}
	if s.broken[c.node] || !s.alive(c.at.object) {
		s.unjudged(L1)
		return
	}
	s.judged(L1)
	switch {
	case c.blocked():
	case len(c.pods) == 0:
		s.violated(L1, c.key(), "it has no pod")
	case len(c.pods) > 1:
		s.violated(L1, c.key(), "it has %d pods", len(c.pods))
	case !c.pods[0].available(s.now):
		if !s.noRoom(c.pods[0], c.at.object) {
			s.violated(L1, c.key(), "pod %s is not available", c.pods[0].object.Name)
		}
	case !c.daemon.spec().onDelete:
		s.judgeContent(c, c.pods[0])
	}
}

// alive reports whether a node is ready, as far as it says anything about that.
func (s *state) alive(node *corev1.Node) bool {
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return true
}

// judgeContent judges L1: the pod has what the template says, and its revision is recorded with it.
func (s *state) judgeContent(c *cell, p *pod) {
	if !reflects(c.daemon.spec().template, p.object) {
		if s.mayBeHeld(c, p) {
			return
		}
		s.violated(L1, c.key(), "pod %s does not have what spec.template says", p.object.Name)
		return
	}
	if newest := s.newest(c.daemon); newest != nil && newest.Labels[appsv1.ControllerRevisionHashLabelKey] != p.revision() {
		s.violated(L1, c.key(), "pod %s has revision %s, the newest record is of %s", p.object.Name, p.revision(), newest.Labels[appsv1.ControllerRevisionHashLabelKey])
	}
}

// newest returns the ControllerRevision of a daemon with the highest number, nil if there is none.
func (s *state) newest(d *daemon) *appsv1.ControllerRevision {
	var newest *appsv1.ControllerRevision
	for _, record := range s.records {
		if record.gone || ownerOf(record.object) != d.uid {
			continue
		}
		if newest == nil || record.object.Revision > newest.Revision {
			newest = record.object
		}
	}
	return newest
}

// judgeLeft judges L3 of a pod.
func (s *state) judgeLeft(p *pod) {
	owner := metav1.GetControllerOfNoCopy(p.object)
	if owner == nil || owner.Kind != "DaemonSet" || !s.servesOwner(owner) {
		return
	}
	s.judged(L3)
	d := s.daemons[owner.UID]
	switch {
	case d == nil || d.gone:
		s.violated(L3, p.key(), "its DaemonSet %s does not exist any more", owner.Name)
	case p.cell == nil:
	case p.cell.at.object == nil:
		s.violated(L3, p.key(), "its node %s does not exist any more", p.cell.node)
	case p.cell.fromFormerNode(p):
		s.violated(L3, p.key(), "it was created for a former node %s", p.cell.node)
	}
}

func (s *state) servesOwner(owner *metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	return s.serves(history.Resource("daemonsets." + group))
}

// quietResources may be written at any time: leases, and what only reports or asks.
var quietResources = set([]string{
	"leases.coordination.k8s.io", "events", "events.events.k8s.io", "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io",
	"selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectreviews.authentication.k8s.io",
})

// judgeQuiet judges L2: a write after the cluster has settled.
func (s *state) judgeQuiet(r *history.Request) {
	if quietResources[r.Resource] || len(s.broken) > 0 {
		return
	}
	s.violated(L2, r.User, "it still writes: %s", r)
	s.quiet = false // one is enough: a hot loop writes thousands
}
