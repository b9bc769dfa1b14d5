package model

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func claimsOf(w *world, set *v1alpha1.DaemonSet, node string) (due []string) {
	for _, claim := range w.task(keyOf(set).On(node)).Claims {
		verb := "release"
		if claim.Adopt {
			verb = "adopt"
		}
		due = append(due, fmt.Sprintf("%s %s", verb, claim.Pod.UID))
	}
	return due
}
func elsewhere(pod *corev1.Pod)    { pod.Namespace = "elsewhere" }
func anywhere(pod *corev1.Pod)     { pod.Spec.Affinity = nil }
func ofReplicaSet(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "ReplicaSet" }

// Whatever comes first, the pod or its daemon, what is due is the same.
func TestWorldClaims(t *testing.T) {
	tests := map[string]struct {
		change []func(*corev1.Pod)
		want   []string
		steps  []string
	}{
		"its own":                    {},
		"an orphan":                  {change: []func(*corev1.Pod){orphaned}, want: []string{"adopt p"}, steps: []string{createStep}},
		"a bound orphan":             {change: []func(*corev1.Pod){orphaned, anywhere, bound("n1")}, want: []string{"adopt p"}, steps: []string{createStep}},
		"an orphan of other labels":  {change: []func(*corev1.Pod){orphaned, relabelled}, steps: []string{createStep}},
		"an orphan elsewhere":        {change: []func(*corev1.Pod){orphaned, elsewhere}, steps: []string{createStep}},
		"an orphan for no node":      {change: []func(*corev1.Pod){orphaned, anywhere}, steps: []string{createStep}},
		"an orphan that ends":        {change: []func(*corev1.Pod){orphaned, terminating}, steps: []string{createStep}},
		"a ReplicaSet's":             {change: []func(*corev1.Pod){ofReplicaSet}, steps: []string{createStep}},
		"its own, of other labels":   {change: []func(*corev1.Pod){relabelled}, want: []string{"release p"}, steps: []string{createStep}},
		"of other labels, and ends":  {change: []func(*corev1.Pod){relabelled, terminating}},
		"of other labels, elsewhere": {change: []func(*corev1.Pod){relabelled, elsewhere}, steps: []string{createStep}},
	}
	for name, test := range tests {
		for _, podFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, pod first %v", name, podFirst), func(t *testing.T) {
				w, q, _ := newTestWorld()
				set, node := makeDaemon("d"), makeNode("n1")
				pod := makePod(set, node, append([]func(*corev1.Pod){podUID("p")}, test.change...)...)
				w.nodeSeen(node)
				if podFirst {
					w.podSeen(pod)
				}
				see(t, w, set)
				if !podFirst {
					q.drain()
					w.podSeen(pod)
					if plans, _ := q.drain(); len(test.want) > 0 && len(plans) == 0 {
						t.Error("nobody is told of what is due")
					}
				}
				wantStrings(t, "due", test.want, claimsOf(w, set, "n1"))
				wantSteps(t, w, keyOf(set).On("n1"), test.steps...)

				w.podGone(pod)
				wantStrings(t, "due when the pod is gone", nil, claimsOf(w, set, "n1"))
				wantSteps(t, w, keyOf(set).On("n1"), createStep)
				w.daemonGone(keyOf(set))
				if len(w.pods)+len(w.daemons)+len(w.claims.byCell)+len(w.claims.cellOf)+len(w.claims.orphans) > 0 {
					t.Errorf("something is remembered: %+v, %v", w.claims, w.daemons)
				}
			})
		}
	}
}

// Of several daemons that match an orphan, the first by name has it.
func TestWorldOneDaemonClaimsAnOrphan(t *testing.T) {
	w, _, _ := newTestWorld()
	a, b, node := makeDaemon("a"), makeDaemon("b"), makeNode("n1")
	b.Spec.Selector, b.Spec.Template.Labels = a.Spec.Selector, a.Spec.Template.Labels
	see(t, w, b)
	see(t, w, a)
	w.nodeSeen(node)
	w.podSeen(makePod(a, node, podUID("p"), orphaned))
	wantStrings(t, "due for a", []string{"adopt p"}, claimsOf(w, a, "n1"))
	wantStrings(t, "due for b", nil, claimsOf(w, b, "n1"))
}

// What a daemon did not come to adopt is free for the next one of its name, or another.
func TestWorldClaimsOfAGoneDaemon(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	w.podSeen(makePod(set, node, podUID("p"), orphaned))
	wantStrings(t, "due", []string{"adopt p"}, claimsOf(w, set, "n1"))
	w.daemonGone(keyOf(set))
	wantStrings(t, "due of the gone one", nil, claimsOf(w, set, "n1"))
	again := makeDaemon("d")
	again.UID = "uid-again"
	see(t, w, again)
	wantStrings(t, "due of the next one", []string{"adopt p"}, claimsOf(w, again, "n1"))

	other := makeDaemon("other")
	other.Spec.Selector, other.Spec.Template.Labels = set.Spec.Selector, set.Spec.Template.Labels
	see(t, w, other)
	w.daemonGone(keyOf(again))
	wantStrings(t, "due of another one", []string{"adopt p"}, claimsOf(w, other, "n1"))
}

// A pod that a daemon did not come to release is still its own when it is gone: the next one of its
// name waits for it.
func TestWorldReleasesNothingOfAGoneDaemon(t *testing.T) {
	w, _, _ := newTestWorld()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, w, set)
	w.nodeSeen(node)
	pod := makePod(set, node, podUID("p"), relabelled, bound("n1"))
	w.podSeen(pod)
	wantStrings(t, "due", []string{"release p"}, claimsOf(w, set, "n1"))
	w.daemonGone(keyOf(set))
	again := makeDaemon("d")
	again.UID = "uid-again"
	see(t, w, again)
	if w.task(keyOf(again).On("n1")).Former != pod.Name {
		t.Error("the next daemon does not wait for the pod")
	}
	w.podGone(pod)
	if w.task(keyOf(again).On("n1")).Former != "" {
		t.Error("the next daemon waits for a pod that is gone")
	}
}
