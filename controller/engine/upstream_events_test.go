package engine

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
)

func roomFor(memory string) func(*corev1.Node) {
	return func(node *corev1.Node) {
		node.Status.Allocatable = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	}
}

func notReady(node *corev1.Node) {
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}
}

// A node's update triggers a cell only if its verdict changes.
func TestNodeUpdateTriggersCells(t *testing.T) {
	blue := onlyWhere("color", "blue")
	tests := map[string]struct {
		daemon   func(*v1alpha1.DaemonSet)
		old, new func(*corev1.Node)
		pod      bool // the daemon has a pod on the node
		want     bool
		steps    []string // the cell's plan
	}{
		"nothing":                             {},
		"a required label is added":           {daemon: blue, new: labelled("color", "blue"), want: true, steps: []string{createStep}},
		"a required label is removed":         {daemon: blue, old: labelled("color", "blue"), pod: true, want: true, steps: []string{"Delete p: NodeSelectorMismatch"}},
		"a misplaced pod becomes well-placed": {daemon: blue, new: labelled("color", "blue"), pod: true, want: true},
		"a label that is not required":        {new: labelled("color", "blue"), steps: []string{createStep}},
		"another value of such a label":       {daemon: blue, old: labelled("color", "red"), new: labelled("color", "green")},
		"a NoSchedule taint is removed":       {old: tainted(corev1.TaintEffectNoSchedule), want: true, steps: []string{createStep}},
		"a NoSchedule taint is added":         {new: tainted(corev1.TaintEffectNoSchedule), pod: true, want: true},
		"a NoExecute taint is added":          {new: tainted(corev1.TaintEffectNoExecute), pod: true, want: true, steps: []string{"Delete p: UntoleratedNoExecuteTaint"}},
		"a taint that no rule evaluates":      {new: tainted(corev1.TaintEffectPreferNoSchedule), steps: []string{createStep}},
		"more room: the scheduler's business": {old: roomFor("100M"), new: roomFor("200M"), steps: []string{createStep}},
		"a condition: its taint counts":       {new: notReady, steps: []string{createStep}},
	}
	for name, test := range tests {
		for strategy, as := range map[string]func(*v1alpha1.DaemonSet){"OnDelete": func(*v1alpha1.DaemonSet) {}, "RollingUpdate": oneUnavailable} {
			t.Run(name+", "+strategy, func(t *testing.T) {
				cluster, q, _ := statetest.New()
				handler := observing(cluster).Nodes()
				if test.daemon == nil {
					test.daemon = func(*v1alpha1.DaemonSet) {}
				}
				set := makeDaemon("d", test.daemon, as)
				cluster.See(t, set)
				cached := func(change func(*corev1.Node)) *corev1.Node {
					node := makeNode("n1")
					if change != nil {
						change(node)
					}
					trimmed, err := caches.TrimNode(node)
					if err != nil {
						t.Fatal(err)
					}
					return trimmed.(*corev1.Node)
				}
				old := cached(test.old)
				handler.Added(old)
				if test.pod {
					cluster.SeePod(makePod(set, makeNode("n1"), bound("n1"), podUID("p")))
				}
				plans, _ := q.Drain()
				wantStrings(t, "triggered by the joining node", []string{"uid-d on n1"}, plans)

				handler.Updated(old, cached(test.new))
				plans, reports := q.Drain()
				if got := len(plans) == 1 && len(reports) == 1; got != test.want || len(plans) > 1 {
					t.Errorf("cells to plan %v, daemons to report %v; want them %v", plans, reports, test.want)
				}
				if test.want || test.steps != nil {
					cluster.WantSteps(t, fixture.Key(set).On("n1"), test.steps...)
				}
			})
		}
	}
}

// A pod's event triggers only its cells, if there is work for them. Of the daemons that match an orphan, the
// first by name is triggered; upstream triggers all of them.
func TestPodEventTriggersCells(t *testing.T) {
	a, b, node := makeDaemon("a"), makeDaemon("b"), makeNode("n1")
	b.Spec.Selector, b.Spec.Template.Labels = a.Spec.Selector, a.Spec.Template.Labels
	pod := func(set *v1alpha1.DaemonSet, change ...func(*corev1.Pod)) *corev1.Pod {
		return makePod(set, node, append([]func(*corev1.Pod){podUID("p")}, change...)...)
	}
	newer := func(pod *corev1.Pod) { pod.ResourceVersion = "8" }
	unplaced := func(pod *corev1.Pod) { pod.Spec.Affinity = nil }
	failed := func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }

	tests := map[string]struct {
		before, after *corev1.Pod // nil if it does not exist
		want          []string
	}{
		"a's pod is created":                                {after: pod(a)},
		"b's pod is created":                                {after: pod(b)},
		"an orphan that both match is created":              {after: pod(b, orphaned), want: []string{"uid-a on n1"}},
		"an orphan that no daemon matches is created":       {after: pod(a, orphaned, relabelled)},
		"an orphan without a node is created":               {after: pod(a, orphaned, unplaced)},
		"a's pod changes":                                   {before: pod(a), after: pod(a, newer)},
		"b's pod changes":                                   {before: pod(b), after: pod(b, newer)},
		"a's pod finishes":                                  {before: pod(a), after: pod(a, newer, failed), want: []string{"uid-a on n1"}},
		"an orphan that no daemon matches changes":          {before: pod(a, orphaned, relabelled), after: pod(a, orphaned, relabelled, newer)},
		"an orphan still has to be adopted":                 {before: pod(a, orphaned), after: pod(a, orphaned, newer), want: []string{"uid-a on n1"}},
		"an orphan gets labels that match":                  {before: pod(a, orphaned, relabelled), after: pod(a, orphaned), want: []string{"uid-a on n1"}},
		"an orphan loses labels that match":                 {before: pod(a, orphaned), after: pod(a, orphaned, relabelled), want: []string{"uid-a on n1"}},
		"b's pod becomes a's":                               {before: pod(b), after: pod(a, newer), want: []string{"uid-b on n1"}},
		"a's pod loses its owner":                           {before: pod(a), after: pod(a, orphaned), want: []string{"uid-a on n1"}},
		"b's pod loses its owner":                           {before: pod(b), after: pod(b, orphaned), want: []string{"uid-a on n1", "uid-b on n1"}},
		"a's pod is deleted":                                {before: pod(a), want: []string{"uid-a on n1"}},
		"b's pod is deleted":                                {before: pod(b), want: []string{"uid-b on n1"}},
		"an orphan to adopt is deleted":                     {before: pod(a, orphaned), want: []string{"uid-a on n1"}},
		"an orphan that no daemon matches is deleted":       {before: pod(a, orphaned, relabelled)},
		"a pod that used resources is deleted":              {before: pod(a, orphaned, relabelled, bound("n1"))},
		"a ReplicaSet's pod that used resources is deleted": {before: pod(a, ofReplicaSet, bound("n1"))},
		"an unscheduled pod is deleted":                     {before: pod(a, orphaned, unplaced)},
		"a pod of another controller is replaced":           {before: pod(a, ofReplicaSet), after: pod(a, ofReplicaSet, newer)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, q, _ := statetest.New()
			handler := observing(cluster).Pods()
			cluster.See(t, b)
			cluster.See(t, a)
			cluster.SeeNode(node)
			if test.before != nil {
				handler.Added(statetest.Everynode.ObservePod(test.before))
			}
			q.Drain()
			switch {
			case test.after == nil:
				handler.Deleted(statetest.Everynode.ObservePod(test.before))
			case test.before == nil:
				handler.Added(statetest.Everynode.ObservePod(test.after))
			default:
				handler.Updated(statetest.Everynode.ObservePod(test.before), statetest.Everynode.ObservePod(test.after))
			}
			plans, _ := q.Drain()
			wantStrings(t, "cells to plan", test.want, plans)
		})
	}
}

// An empty selector, which validation refuses, would match all pods: none is
// adopted (k/k#23223).
func TestEmptySelectorAdoptsNothing(t *testing.T) {
	for name, selector := range map[string]*metav1.LabelSelector{"empty": {}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			cluster, _, _ := statetest.New()
			set, node := makeDaemon("d", func(set *v1alpha1.DaemonSet) { set.Spec.Selector = selector }), makeNode("n1")
			pod := makePod(set, node, podUID("p"), orphaned, bound("n1"), func(pod *corev1.Pod) { pod.Labels = map[string]string{"bang": "boom"} })
			cluster.SeeNode(node)
			cluster.SeePod(pod)
			if err := cluster.SeeRecorded(set); err == nil {
				t.Error("the DaemonSet is served")
			}
			cluster.SeePod(pod)
			wantStrings(t, "due", nil, claimsOf(cluster, set, "n1"))
		})
	}
}
