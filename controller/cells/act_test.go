package cells

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

var podsResource = schema.GroupResource{Resource: "pods"}

// stage is a Reconciler with everything around it: daemon d, node n1, and cell d on n1.
type stage struct {
	*server
	*recorder
	reconciler *Reconciler
	state      *statetest.State
	queues     *fixture.Queues
	clock      *fixture.Clock
	set        *v1alpha1.DaemonSet
	node       *corev1.Node
}

var stageKey = daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}

func newStage(t *testing.T, change ...func(*v1alpha1.DaemonSet)) *stage {
	t.Helper()
	set := makeDaemon("d", change...)
	s := &stage{server: newServer(set.DeepCopy()), recorder: &recorder{}, set: set, node: makeNode("n1")}
	s.state, s.queues, s.clock = statetest.New()
	s.reconciler = New(Deps{
		Kinds: statetest.Everynode, State: s.state.State, Client: s.server, Reader: s.server, Placer: s.placer(placement.Auto),
		Recorder: s.recorder, Workers: 4,
	})
	s.state.See(t, s.set)
	s.state.SeeNode(s.node)
	return s
}

func (s *stage) placer(mode placement.Mode) *placement.Placer {
	return placement.New(placement.Options{
		Client: s.server, Mode: mode, Samples: placement.NewSampler(s.state.Emitted).Samples, Flipped: func(bool, string) {},
	})
}

// hold stores a pod and makes the model observe it.
func (s *stage) hold(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	s.store(t, pod)
	s.state.SeePod(pod)
}

// store puts a pod into the API server behind the model's back.
func (s *stage) store(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := s.Create(t.Context(), pod.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	s.Requests = nil
}

// replace replaces a stored pod by another one of its name, behind the model's back.
func (s *stage) replace(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := s.Delete(t.Context(), pod.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	s.Deletes = nil
	s.store(t, pod)
}

func TestActCreates(t *testing.T) {
	s := newStage(t)
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != looksLater {
		t.Errorf("Reconcile = %s", got)
	}
	pods := s.Pods(t)
	if want := firstNames(s.set, s.node)[0]; len(pods) != 1 || pods[0].Name != want {
		t.Fatalf("pods %+v, want %s", pods, want)
	}
	if key, ok := daemon.CellOf(&pods[0]); !ok || key != (daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}) {
		t.Errorf("the pod's key is %v, %v", key, ok)
	}
	wantStrings(t, "events", []string{"d: Normal SuccessfulCreate"}, s.Drain())

	// The cache does not show it yet: another call creates no second pod and no event.
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != looksLater || len(s.Pods(t)) != 1 {
		t.Errorf("Reconcile with a stale cache = %s, %d pods", got, len(s.Pods(t)))
	}
	wantStrings(t, "events", nil, s.Drain())
}

func TestActNothingToDo(t *testing.T) {
	s := newStage(t)
	s.hold(t, makePod(s.set, s.node))
	for _, key := range []daemon.CellKey{stageKey, {Namespace: "ns", Owner: "uid-d", Node: "unknown"}, {Namespace: "ns", Owner: "unknown", Node: "n1"}} {
		if got := outcome(s.reconciler.Reconcile(t.Context(), key)); got != settled {
			t.Errorf("Reconcile(%v) = %s", key, got)
		}
	}
	wantStrings(t, "requests", nil, s.Requests)
	wantStrings(t, "events", nil, s.Drain())
}

func TestActAnswersToACreate(t *testing.T) {
	tests := map[string]struct {
		refuse     error
		want       string
		wantEvents []string
	}{
		"namespace terminating": {refuse: errNamespaceTerminating(), want: failed, wantEvents: []string{"ns: Warning NamespaceTerminating"}},
		"quota":                 {refuse: errQuota(), want: failed, wantEvents: []string{"d: Warning FailedCreate"}},
		"invalid template":      {refuse: apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", nil), want: failed, wantEvents: []string{"d: Warning FailedCreate"}},
		"bad request":           {refuse: apierrors.NewBadRequest("x"), want: failed, wantEvents: []string{"d: Warning FailedCreate"}},
		"too large":             {refuse: apierrors.NewRequestEntityTooLargeError("x"), want: failed, wantEvents: []string{"d: Warning FailedCreate"}},
		"not reached":           {refuse: errors.New("connection refused"), want: again},
		"timed out":             {refuse: context.DeadlineExceeded, want: again},
		"internal error":        {refuse: apierrors.NewInternalError(errors.New("etcd")), want: again},
		"unavailable":           {refuse: apierrors.NewServiceUnavailable("x"), want: again},
		"server timeout":        {refuse: apierrors.NewServerTimeout(podsResource, "create", 1), want: again},
		"too many requests":     {refuse: apierrors.NewTooManyRequests("x", 1), want: again},
		"unauthorized":          {refuse: apierrors.NewUnauthorized("x"), want: again},
		"namespace not there":   {refuse: apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), want: failed, wantEvents: []string{"ns: Warning NamespaceNotFound"}},
		"no such resource":      {refuse: apierrors.NewGenericServerResponse(404, "create", podsResource, "", "", 0, true), want: again},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.Refuse = test.refuse
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != test.want {
				t.Errorf("Reconcile = %s, want %s", got, test.want)
			}
			wantStrings(t, "events", test.wantEvents, s.Drain())
		})
	}
}

func TestActRefusalHasAReason(t *testing.T) {
	s := newStage(t)
	s.Refuse = errQuota()
	_, err := s.reconciler.Reconcile(t.Context(), stageKey)
	if err == nil || !strings.Contains(err.Error(), "exceeded quota") || !strings.Contains(err.Error(), "n1") {
		t.Errorf("error %q does not name the pod", err)
	}
	if note := s.Notes[0]; !strings.Contains(note, "exceeded quota") || !strings.Contains(note, "n1") {
		t.Errorf("event %q does not name the pod", note)
	}
}

// Where only admission may place pods and it is unreachable, an early retry is useless: every cell is planned
// again when admission works again.
func TestActWaitsForAdmission(t *testing.T) {
	s := newStage(t)
	s.Admission = fixture.Absent
	s.reconciler.placer = s.placer(placement.Admission)
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != failed {
		t.Errorf("Reconcile = %s, want %s", got, failed)
	}
	wantStrings(t, "events", []string{"d: Warning FailedCreate"}, s.Drain())
}

// Creates pass the throttle, which adapts to their answers; a refusal is an answer too.
func TestActFollowsTheAPIServer(t *testing.T) {
	s := newStage(t)
	for range 3 {
		if err := s.reconciler.gate.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.reconciler.gate.Leave(true)
	}
	for _, step := range []struct {
		refuse error
		want   int
	}{{apierrors.NewServiceUnavailable("x"), 2}, {errQuota(), 3}, {nil, 4}} {
		s.Refuse = step.refuse
		s.clock.Advance(answers.RefusedBackOffMax) // no request is held back
		_, _ = s.reconciler.Reconcile(t.Context(), stageKey)
		if limit, inFlight := s.reconciler.gate.State(); limit != step.want || inFlight != 0 {
			t.Errorf("after %v: limit %d, %d in flight; want limit %d and none", step.refuse, limit, inFlight, step.want)
		}
	}
}

// The problem that keeps a pod from being created is in the daemon's health until it is created.
func TestActReportsProblems(t *testing.T) {
	s := newStage(t)
	problem := func() daemon.Problem {
		_, health := s.state.Health(fixture.Key(s.set))
		return health.Problems["n1"]
	}
	s.Refuse = errQuota()
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err == nil || problem().Reason != answers.ReasonFailed || !strings.Contains(problem().Message, "exceeded quota") {
		t.Errorf("error %v, problem %+v", err, problem())
	}
	s.Refuse = errors.New("connection refused")
	s.clock.Advance(answers.RefusedBackOff)
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil || problem() == (daemon.Problem{}) {
		t.Errorf("error %v, problem %+v; want it kept while there is no answer", err, problem())
	}
	s.Refuse = nil
	s.clock.Advance(2 * answers.RefusedBackOff)
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err != nil || problem() != (daemon.Problem{}) {
		t.Errorf("error %v, problem %+v; want none once the pod is created", err, problem())
	}
}

func TestActNameIsTaken(t *testing.T) {
	tests := map[string]struct {
		holder     func(*corev1.Pod)
		onGet      error
		want       string
		wantEvents []string
		wantPods   int // defaults to 1
	}{
		"by our own pod":             {want: looksLater},
		"by our own terminating pod": {want: looksLater, holder: func(pod *corev1.Pod) { pod.Finalizers = []string{"example.com/wait"} }},
		"by a pod without an owner": {
			holder: func(pod *corev1.Pod) { pod.OwnerReferences = nil },
			want:   looksLater, wantEvents: []string{"d: Normal SuccessfulCreate"}, wantPods: 2, // the alternative name is free
		},
		"by the pod of a daemon that had our name": {
			holder: func(pod *corev1.Pod) { pod.OwnerReferences[0].UID, pod.Spec.NodeName = "uid-former", "n1" },
			want:   failed, wantEvents: []string{"d: Warning PodNameTaken"},
		},
		"by a pod that claims this and was never bound": {
			holder: func(pod *corev1.Pod) { pod.OwnerReferences[0].UID = "uid-former" },
			want:   looksLater, wantEvents: []string{"d: Normal SuccessfulCreate"}, wantPods: 2, // the alternative name is free
		},
		"by a pod that we own and do not control": {
			holder: func(pod *corev1.Pod) { pod.OwnerReferences[0].Controller = nil },
			want:   looksLater, wantEvents: []string{"d: Normal SuccessfulCreate"}, wantPods: 2, // the alternative name is free
		},
		"by a pod that is gone in the meantime": {onGet: apierrors.NewNotFound(podsResource, "p"), want: again},
		"by one that cannot be read":            {onGet: errors.New("connection refused"), want: again},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			holder := makePod(s.set, s.node)
			if test.holder != nil {
				test.holder(holder)
			}
			s.store(t, holder)
			if holder.Spec.NodeName != "" { // set by a binding
				if err := s.Update(t.Context(), holder); err != nil {
					t.Fatal(err)
				}
			}
			if len(holder.Finalizers) > 0 {
				if err := s.Delete(t.Context(), holder); err != nil {
					t.Fatal(err)
				}
				s.Deletes = nil
			}
			s.OnGet = test.onGet
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != test.want {
				t.Errorf("Reconcile = %s, want %s", got, test.want)
			}
			wantStrings(t, "events", test.wantEvents, s.Drain())
			if len(s.Deletes) > 0 || len(s.Pods(t)) != max(test.wantPods, 1) {
				t.Errorf("the pod with the name was changed")
			}
		})
	}
}

// Both names are taken by other owners' pods: nothing is changed, and the condition and the event report it.
func TestActBothNamesAreTaken(t *testing.T) {
	s := newStage(t)
	for _, name := range firstNames(s.set, s.node) {
		s.store(t, makePod(s.set, s.node, func(pod *corev1.Pod) { pod.OwnerReferences, pod.Name = nil, name }))
	}
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != failed {
		t.Errorf("Reconcile = %s, want %s", got, failed)
	}
	wantStrings(t, "events", []string{"d: Warning PodNameTaken"}, s.Drain())
	if _, health := s.state.Health(fixture.Key(s.set)); health.Problems["n1"].Reason != answers.ReasonNameTaken || len(s.Deletes) > 0 {
		t.Errorf("problems %+v, deletes %v", health.Problems, s.Deletes)
	}
}

func TestActDeletes(t *testing.T) {
	tests := map[string]struct {
		onDelete   error
		replaced   bool // another pod has its name by then
		want       string
		wantEvents []string
	}{
		"done":                        {want: settled, wantEvents: []string{"d: Normal SuccessfulDelete"}},
		"gone already":                {onDelete: apierrors.NewNotFound(podsResource, "p"), want: settled},
		"another object of that name": {onDelete: apierrors.NewConflict(podsResource, "p", errors.New("the UID in the precondition does not match")), replaced: true, want: settled},
		"a conflict by admission":     {onDelete: apierrors.NewConflict(podsResource, "p", errors.New("x")), want: failed, wantEvents: []string{"d: Warning FailedDelete"}},
		"forbidden":                   {onDelete: apierrors.NewForbidden(podsResource, "p", errors.New("x")), want: failed, wantEvents: []string{"d: Warning FailedDelete"}},
		"not reached":                 {onDelete: errors.New("connection refused"), want: again},
		"internal server error":       {onDelete: apierrors.NewInternalError(errors.New("etcd")), want: again},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.hold(t, makePod(s.set, s.node, podUID("uid-of-pod")))
			s.state.ForgetNode("n1")
			if test.replaced {
				s.replace(t, makePod(s.set, s.node, podUID("uid-of-another")))
			}
			s.OnDelete = test.onDelete
			if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != test.want {
				t.Errorf("Reconcile = %s, want %s", got, test.want)
			}
			if len(s.Deletes) != 1 || s.Deletes[0] != "uid-of-pod" {
				t.Errorf("deleted with UIDs %v, want the pod's own (S5)", s.Deletes)
			}
			if test.wantEvents != nil && !strings.Contains(s.Notes[0], "node n1 is gone") {
				t.Errorf("event %q has no reason", s.Notes[0])
			}
			wantStrings(t, "events", test.wantEvents, s.Drain())
			if wantLeft := test.onDelete != nil; (len(s.Pods(t)) == 1) != wantLeft {
				t.Errorf("%d pods are left", len(s.Pods(t)))
			}
		})
	}
}

func TestActDoesEveryStep(t *testing.T) {
	s := newStage(t)
	s.hold(t, makePod(s.set, s.node, podUID("stays"), bound("n1")))
	for _, name := range []string{"b", "c"} {
		s.hold(t, makePod(s.set, s.node, podUID(types.UID(name)), func(pod *corev1.Pod) {
			pod.Name, pod.CreationTimestamp = name, metav1.NewTime(t0.Add(time.Minute))
		}))
	}
	if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != settled {
		t.Errorf("Reconcile = %s", got)
	}
	if pods := s.Pods(t); len(pods) != 1 || pods[0].UID != "stays" {
		t.Errorf("%d pods are left, want one", len(pods))
	}
	wantStrings(t, "events", []string{"d: Normal SuccessfulDelete", "d: Normal SuccessfulDelete"}, s.Drain())
}

func TestActRequeuesAsPlanned(t *testing.T) {
	s := newStage(t, func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 60 })
	s.hold(t, makePod(s.set, s.node, ready(t0)))
	s.clock.Advance(20 * time.Second)
	result, err := s.reconciler.Reconcile(t.Context(), stageKey)
	if err != nil || result.RequeueAfter != 40*time.Second {
		t.Errorf("Reconcile = %+v, %v, want again after 40s", result, err)
	}
}

// Without an answer of the API server the back-off is 0.1 s, doubling to 10 s; an answer resets it.
func TestActUnansweredBacksOff(t *testing.T) {
	s := newStage(t)
	wait := func() time.Duration {
		t.Helper()
		result, err := s.reconciler.Reconcile(t.Context(), stageKey)
		if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter
	}
	s.Refuse = errors.New("connection refused")
	want := 100 * time.Millisecond
	for i := range 12 {
		if got := wait(); got != want {
			t.Errorf("try %d: again after %v, want %v", i, got, want)
		}
		want = min(2*want, 10*time.Second)
	}
	s.Refuse = errQuota()
	if _, err := s.reconciler.Reconcile(t.Context(), stageKey); err == nil {
		t.Error("no error after a refusal")
	}
	s.Refuse = errors.New("connection refused")
	s.clock.Advance(answers.RefusedBackOff)
	if got := wait(); got != 100*time.Millisecond {
		t.Errorf("after an answer: again after %v, want 100ms", got)
	}
	s.Refuse = nil
	s.clock.Advance(2 * answers.RefusedBackOff)
	if got := wait(); got != verifyAfter {
		t.Errorf("after success: again after %v, want %v", got, verifyAfter)
	}
}

// S8: the back-off of a pod that is always refused is 1 s, doubling to 15 min.
func TestRefusedBacksOff(t *testing.T) {
	limiter := answers.Refused[daemon.CellKey]()
	want := time.Second
	for i := range 15 {
		if got := limiter.When(stageKey); got != want {
			t.Errorf("refusal %d: %v, want %v", i, got, want)
		}
		want = min(2*want, 15*time.Minute)
	}
	if got := limiter.When(daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"}); got != time.Second {
		t.Errorf("another cell waits %v, want 1s", got)
	}
}

var _ client.Client = (*server)(nil)

// A finished pod is reported with apps/v1's reason.
func TestActReportsFinishedPods(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]string{
		corev1.PodFailed:    "d: Warning FailedDaemonPod",
		corev1.PodSucceeded: "d: Normal SucceededDaemonPod",
	} {
		s := newStage(t)
		s.hold(t, makePod(s.set, s.node, bound("n1"), func(pod *corev1.Pod) { pod.Status.Phase = phase }))
		if got := outcome(s.reconciler.Reconcile(t.Context(), stageKey)); got != settled {
			t.Errorf("%s: Reconcile = %s", phase, got)
		}
		wantStrings(t, string(phase), []string{"d: Normal SuccessfulDelete", want}, s.Drain())
	}
}
