package controller

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

func claimsOf(w *state, set *v1alpha1.DaemonSet, node string) (due []string) {
	for _, claim := range w.task(keyOf(set).on(node)).claims {
		verb := "release"
		if claim.adopt {
			verb = "adopt"
		}
		due = append(due, fmt.Sprintf("%s %s", verb, claim.pod.UID))
	}
	return due
}

func orphaned(pod *corev1.Pod)     { pod.OwnerReferences = nil }
func relabelled(pod *corev1.Pod)   { pod.Labels["app"] = "other" }
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
				wantSteps(t, w, keyOf(set).on("n1"), test.steps...)

				w.podGone(pod)
				wantStrings(t, "due when the pod is gone", nil, claimsOf(w, set, "n1"))
				wantSteps(t, w, keyOf(set).on("n1"), createStep)
				w.daemonGone(keyOf(set))
				if len(w.model.pods)+len(w.model.daemons)+len(w.model.claims.byCell)+len(w.model.claims.cellOf)+len(w.model.claims.orphans) > 0 {
					t.Errorf("something is remembered: %+v, %v", w.model.claims, w.model.daemons)
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
	anew := makeDaemon("d")
	anew.UID = "uid-anew"
	see(t, w, anew)
	wantStrings(t, "due of the next one", []string{"adopt p"}, claimsOf(w, anew, "n1"))

	other := makeDaemon("other")
	other.Spec.Selector, other.Spec.Template.Labels = set.Spec.Selector, set.Spec.Template.Labels
	see(t, w, other)
	w.daemonGone(keyOf(anew))
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
	anew := makeDaemon("d")
	anew.UID = "uid-anew"
	see(t, w, anew)
	if w.task(keyOf(anew).on("n1")).former != pod.Name {
		t.Error("the next daemon does not wait for the pod")
	}
	w.podGone(pod)
	if w.task(keyOf(anew).on("n1")).former != "" {
		t.Error("the next daemon waits for a pod that is gone")
	}
}

func TestActClaims(t *testing.T) {
	tests := map[string]struct {
		change    func(*corev1.Pod)
		live      func(*v1alpha1.DaemonSet) // what the API server has of the daemon; nil: nothing
		wantOwned bool
		wantEvent bool
	}{
		"adopt":                              {change: orphaned, live: func(*v1alpha1.DaemonSet) {}, wantOwned: true, wantEvent: true},
		"adopt for a daemon that is gone":    {change: orphaned},
		"adopt for another of the same name": {change: orphaned, live: func(set *v1alpha1.DaemonSet) { set.UID = "uid-anew" }},
		"adopt for a daemon that is deleted": {change: orphaned, live: func(set *v1alpha1.DaemonSet) { set.Finalizers = []string{"example.com/wait"}; deleting(set) }},
		"release":                            {change: func(pod *corev1.Pod) { relabelled(pod); bound("n1")(pod) }, wantEvent: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.WithWatch = newServer().WithWatch
			if test.live != nil {
				live := s.set.DeepCopy()
				test.live(live)
				s.WithWatch = newServer(live).WithWatch
			}
			s.actor.client, s.actor.reader = s.server, s.server
			pod := makePod(s.set, s.node, test.change)
			s.hold(t, pod)
			if got := answer(s.actor.Reconcile(t.Context(), stageKey)); got != looksLater {
				t.Errorf("Reconcile = %s, want %s", got, looksLater)
			}
			var stored corev1.Pod
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(pod), &stored); err != nil {
				t.Fatal(err)
			}
			if owned := metav1.IsControlledBy(&stored, s.set); owned != test.wantOwned {
				t.Errorf("controlled by the daemon: %v, want %v", owned, test.wantOwned)
			}
			var want []string
			if test.wantEvent {
				want = []string{"d: Normal PodClaimed"}
			}
			wantStrings(t, "events", want, s.Drain())
			if len(s.Pods(t)) != 1 || len(s.Requests) > 0 {
				t.Errorf("%d pods, requests %v; want nothing made beside a claim", len(s.Pods(t)), s.Requests)
			}
		})
	}
}

// The API server refuses a claim because somebody else was first, of which an event will tell, or
// for a reason that stays: then nothing is made on the node, and the user has to know.
func TestActClaimIsRefused(t *testing.T) {
	invalid := func(fields ...*field.Error) error {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", fields)
	}
	owners, spec := field.NewPath("metadata", "ownerReferences"), field.NewPath("spec", "containers")
	rival := field.Invalid(owners, nil, `Only one reference can have Controller set to true. Found "true" in references for DaemonSet/a and DaemonSet/d`)
	tests := map[string]struct {
		answer     error
		want       string
		wantEvents []string
	}{
		"another owner":        {answer: invalid(rival), want: looksLater},
		"released already":     {answer: invalid(field.Required(owners.Index(0).Child("kind"), "must not be empty")), want: looksLater},
		"another of that name": {answer: invalid(field.Invalid(field.NewPath("metadata", "uid"), "u", "field is immutable")), want: looksLater},
		"gone":                 {answer: apierrors.NewNotFound(podsResource, "p"), want: looksLater},
		"conflict":             {answer: apierrors.NewConflict(podsResource, "p", errors.New("x")), want: looksLater},
		"another cause":        {answer: invalid(field.Required(spec, "x")), want: failed, wantEvents: []string{"d: Warning FailedClaim"}},
		"no cause":             {answer: invalid(), want: failed, wantEvents: []string{"d: Warning FailedClaim"}},
		"forbidden":            {answer: apierrors.NewForbidden(podsResource, "p", errors.New("x")), want: failed, wantEvents: []string{"d: Warning FailedClaim"}},
		"not reached":          {answer: errors.New("connection refused"), want: again},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.hold(t, makePod(s.set, s.node, relabelled, bound("n1")))
			s.OnPatch = test.answer
			if got := answer(s.actor.Reconcile(t.Context(), stageKey)); got != test.want {
				t.Errorf("Reconcile = %s, want %s", got, test.want)
			}
			wantStrings(t, "events", test.wantEvents, s.Drain())
			var want string
			if test.want == failed {
				want = eventFailedClaim
			}
			if _, health := s.world.health(keyOf(s.set)); health.Problems["n1"].Reason != want {
				t.Errorf("problem %+v, want the reason %q", health.Problems["n1"], want)
			}
		})
	}
}
