package model

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Of two pods that wait for a node the better one decides whether the node is blocked. When it is gone or
// is being deleted, the other one does.
func TestTheOtherWaitingPodBlocksItsNode(t *testing.T) {
	node, set := makeNode("n1"), makeDaemon("d")
	cell := keyOf(set).On("n1")
	elsewhere := func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{"color": "blue"} }
	better := func(change ...func(*corev1.Pod)) *corev1.Pod {
		return makePod(set, node, append(change, podUID("a"), func(pod *corev1.Pod) { pod.Name = "a" })...)
	}
	tests := map[string]func(s *state){
		"it is gone":          func(s *state) { s.forgetPod(better()) },
		"it is terminating":   func(s *state) { s.seePod(better(terminating)) },
		"our delete is taken": func(s *state) { s.update(func(u Update) { u.Deleted(cell, "a") }) },
	}
	for name, ends := range tests {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newTestState()
			s.seeNode(node)
			see(t, s, set)
			s.seePod(better())
			s.seePod(makePod(set, node, elsewhere, podUID("b"), func(pod *corev1.Pod) { pod.Name = "b" }))
			blocked := func() int { return s.daemons[cell.Workload()].cells.Blocked() }
			if blocked() != 0 {
				t.Fatal("the node is blocked while a pod waits that can run there")
			}
			ends(s)
			if blocked() != 1 {
				t.Error("the node is not blocked, though its pod can never run there")
			}
		})
	}
}

// After a restart a stale pod's template comes from its record. Until it is known, nothing says that admission excluded
// the pod from its node: its former template may have.
func TestStalePodBlocksWhenItsTemplateIsReadBack(t *testing.T) {
	for name, test := range map[string]struct {
		former  func(*v1alpha1.DaemonSet)
		blocked int
	}{
		"admission excludes it":           {image("image:1"), 1},
		"its former template excludes it": {onlyWhere("color", "blue"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			first, last := makeDaemon("d", generation(1), test.former), makeDaemon("d", generation(2), image("image:2"))
			node := makeNode("n1")
			s, _, _ := newTestState()
			s.seeNode(node)
			s.seePod(makePod(first, node, recorded(first), func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{"color": "blue"} }))
			see(t, s, last)
			blocked := func() int { return s.daemons[keyOf(last)].cells.Blocked() }
			if blocked() != 0 {
				t.Error("the node is blocked before the pod's template is known")
			}
			seeRecords(s, first)
			if blocked() != test.blocked {
				t.Errorf("%d nodes are blocked, want %d", blocked(), test.blocked)
			}
		})
	}
}
