package cells

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
)

func TestActClaims(t *testing.T) {
	tests := map[string]struct {
		change    func(*corev1.Pod)
		live      func(*v1alpha1.DaemonSet) // the daemon in the API server; nil if there is none
		wantOwned bool
		wantEvent bool
	}{
		"adopt":                              {change: orphaned, live: func(*v1alpha1.DaemonSet) {}, wantOwned: true, wantEvent: true},
		"adopt for a daemon that is gone":    {change: orphaned},
		"adopt for another of the same name": {change: orphaned, live: func(set *v1alpha1.DaemonSet) { set.UID = "uid-again" }},
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
			s.reconciler.client, s.reconciler.reader = s.server, s.server
			pod := makePod(s.set, s.node, test.change)
			s.hold(t, pod)
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != looksLater {
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
				t.Errorf("%d pods, requests %v; want only the claim", len(s.Pods(t)), s.Requests)
			}
		})
	}
}

// The API server refuses a claim because another controller was first, which causes an event, or
// for a persistent reason: then no pod is created on the node, and the reason is reported.
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
		"another owner":               {answer: invalid(rival), want: looksLater},
		"released already":            {answer: invalid(field.Required(owners.Index(0).Child("kind"), "must not be empty")), want: looksLater},
		"another object of that name": {answer: invalid(field.Invalid(field.NewPath("metadata", "uid"), "u", "field is immutable")), want: looksLater},
		"gone":                        {answer: apierrors.NewNotFound(podsResource, "p"), want: looksLater},
		"conflict":                    {answer: apierrors.NewConflict(podsResource, "p", errors.New("x")), want: looksLater},
		"another cause":               {answer: invalid(field.Required(spec, "x")), want: failed, wantEvents: []string{"d: Warning FailedClaim"}},
		"no cause":                    {answer: invalid(), want: failed, wantEvents: []string{"d: Warning FailedClaim"}},
		"forbidden":                   {answer: apierrors.NewForbidden(podsResource, "p", errors.New("x")), want: failed, wantEvents: []string{"d: Warning FailedClaim"}},
		"not reached":                 {answer: errors.New("connection refused"), want: again},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.hold(t, makePod(s.set, s.node, relabelled, bound("n1")))
			s.OnPatch = test.answer
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != test.want {
				t.Errorf("Reconcile = %s, want %s", got, test.want)
			}
			wantStrings(t, "events", test.wantEvents, s.Drain())
			var want string
			if test.want == failed {
				want = eventFailedClaim
			}
			if _, health := s.state.Health(fixture.Key(s.set)); health.Problems["n1"].Reason != want {
				t.Errorf("problem %+v, want the reason %q", health.Problems["n1"], want)
			}
		})
	}
}
