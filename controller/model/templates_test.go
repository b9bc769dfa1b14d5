package model

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// seeUnrecorded takes a daemon whose template has no record yet.
func seeUnrecorded(t *testing.T, s *state, set *v1alpha1.DaemonSet) {
	t.Helper()
	if err := s.seeDaemon(set, nil); err != nil {
		t.Fatal(err)
	}
}

// The successor of a pod is made from its node's target, not from an update that is not recorded yet; so the dry runs
// that show whether it could run are of that template too.
func TestDryRunsAreOfTheTarget(t *testing.T) {
	s, _, clock := newTestState()
	node := makeNode("n1")
	s.seeNode(node)
	first, second := makeDaemon("d"), makeDaemon("d", generation(2), image("image:2"))
	cell := keyOf(first).On("n1")
	see(t, s, first)
	s.seePod(makePod(first, node, bound("n1"), ready(t0)))
	see(t, s, second)
	seeUnrecorded(t, s, makeDaemon("d", generation(3), image("image:3")))
	if got := s.task(cell).Template.Pod.Spec.Containers[0].Image; got != "image:2" {
		t.Errorf("the successor of the stale pod has %s, want image:2", got)
	}

	s.seePod(makePod(second, node, func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{"color": "blue"} }))
	clock.Advance(probeLater)
	var probe Probe
	var due bool
	s.update(func(u Update) { probe, due = u.NextProbe() })
	if !due {
		t.Fatal("the blocked node is not probed")
	}
	if got := probe.Pod.Spec.Containers[0].Image; got != "image:2" {
		t.Errorf("the probe has %s, want image:2", got)
	}
}
