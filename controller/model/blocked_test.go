package model

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
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
	tests := map[string]func(w *world){
		"it is gone":          func(w *world) { w.podGone(better()) },
		"it is terminating":   func(w *world) { w.podSeen(better(terminating)) },
		"our delete is taken": func(w *world) { w.update(func(u Update) { u.Deleted(cell, "a") }) },
	}
	for name, ends := range tests {
		t.Run(name, func(t *testing.T) {
			w, _, _ := newTestWorld()
			w.nodeSeen(node)
			see(t, w, set)
			w.podSeen(better())
			w.podSeen(makePod(set, node, elsewhere, podUID("b"), func(pod *corev1.Pod) { pod.Name = "b" }))
			blocked := func() int { return w.daemons[cell.Workload()].cells.Blocked() }
			if blocked() != 0 {
				t.Fatal("the node is blocked while a pod waits that can run there")
			}
			ends(w)
			if blocked() != 1 {
				t.Error("the node is not blocked, though its pod can never run there")
			}
		})
	}
}
