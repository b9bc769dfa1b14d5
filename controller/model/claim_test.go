package model

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

func claimsOf(s *state, set *v1alpha1.DaemonSet, node string) (due []string) {
	for _, claim := range s.task(keyOf(set).On(node)).Claims {
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
func TestModelClaims(t *testing.T) {
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
				s, q, _ := newTestState()
				set, node := makeDaemon("d"), makeNode("n1")
				pod := makePod(set, node, append([]func(*corev1.Pod){podUID("p")}, test.change...)...)
				s.seeNode(node)
				if podFirst {
					s.seePod(pod)
				}
				see(t, s, set)
				if !podFirst {
					q.Drain()
					s.seePod(pod)
					if plans, _ := q.Drain(); len(test.want) > 0 && len(plans) == 0 {
						t.Error("no event triggers what is due")
					}
				}
				wantStrings(t, "due", test.want, claimsOf(s, set, "n1"))
				wantSteps(t, s, keyOf(set).On("n1"), test.steps...)

				s.forgetPod(pod)
				wantStrings(t, "due when the pod is gone", nil, claimsOf(s, set, "n1"))
				wantSteps(t, s, keyOf(set).On("n1"), createStep)
				s.forgetDaemon(keyOf(set))
				if len(s.pods)+len(s.daemons)+len(s.claims.byCell)+len(s.claims.cellOf)+len(s.claims.orphans) > 0 {
					t.Errorf("something is remembered: %+v, %v", s.claims, s.daemons)
				}
			})
		}
	}
}

// Of several daemons that match an orphan, the first by name has it.
func TestModelOneDaemonClaimsAnOrphan(t *testing.T) {
	s, _, _ := newTestState()
	a, b, node := makeDaemon("a"), makeDaemon("b"), makeNode("n1")
	b.Spec.Selector, b.Spec.Template.Labels = a.Spec.Selector, a.Spec.Template.Labels
	see(t, s, b)
	see(t, s, a)
	s.seeNode(node)
	s.seePod(makePod(a, node, podUID("p"), orphaned))
	wantStrings(t, "due for a", []string{"adopt p"}, claimsOf(s, a, "n1"))
	wantStrings(t, "due for b", nil, claimsOf(s, b, "n1"))
}

// What a daemon did not come to adopt is free for the next one of its name, or another.
// Of daemons that may adopt an orphan the first by name does, and of two of one name, which are of two kinds, the first by
// UID: never the first of a map.
func TestFirstDaemonClaimsAnOrphan(t *testing.T) {
	tests := map[string]struct{ daemons, uids []string }{
		"by name": {[]string{"a", "b", "c", "d"}, []string{"4", "3", "2", "1"}},
		"by UID":  {[]string{"a", "a", "a", "b"}, []string{"1", "2", "3", "0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newTestState()
			s.seeNode(makeNode("n1"))
			first := selectingAll(test.daemons[0], test.uids[0])
			for i := range test.daemons {
				see(t, s, selectingAll(test.daemons[i], test.uids[i]))
			}
			for round := range 30 {
				s.seePod(makePod(first, makeNode("n1"), podUID(types.UID(fmt.Sprint("orphan-", round))), orphaned))
			}
			if got := len(claimsOf(s, first, "n1")); got != 30 {
				t.Errorf("daemon %s with UID %s adopts %d of 30 orphans", first.Name, first.UID, got)
			}
		})
	}
}

// selectingAll returns a daemon that selects the labels of all others.
func selectingAll(name, uid string) *v1alpha1.DaemonSet {
	set := makeDaemon("all")
	set.Name, set.UID = name, types.UID(uid)
	return set
}

func TestModelClaimsOfAGoneDaemon(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	s.seePod(makePod(set, node, podUID("p"), orphaned))
	wantStrings(t, "due", []string{"adopt p"}, claimsOf(s, set, "n1"))
	s.forgetDaemon(keyOf(set))
	wantStrings(t, "due of the gone one", nil, claimsOf(s, set, "n1"))
	again := makeDaemon("d")
	again.UID = "uid-again"
	see(t, s, again)
	wantStrings(t, "due of the next one", []string{"adopt p"}, claimsOf(s, again, "n1"))

	other := makeDaemon("other")
	other.Spec.Selector, other.Spec.Template.Labels = set.Spec.Selector, set.Spec.Template.Labels
	see(t, s, other)
	s.forgetDaemon(keyOf(again))
	wantStrings(t, "due of another one", []string{"adopt p"}, claimsOf(s, other, "n1"))
}

// A pod that a daemon did not come to release is still its own when it is gone: the next one of its
// name waits for it.
func TestModelReleasesNothingOfAGoneDaemon(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	pod := makePod(set, node, podUID("p"), relabelled, bound("n1"))
	s.seePod(pod)
	wantStrings(t, "due", []string{"release p"}, claimsOf(s, set, "n1"))
	s.forgetDaemon(keyOf(set))
	again := makeDaemon("d")
	again.UID = "uid-again"
	see(t, s, again)
	if s.task(keyOf(again).On("n1")).Former != pod.Name {
		t.Error("the next daemon does not wait for the pod")
	}
	s.forgetPod(pod)
	if s.task(keyOf(again).On("n1")).Former != "" {
		t.Error("the next daemon waits for a pod that is gone")
	}
}
