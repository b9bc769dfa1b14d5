package status

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

// desk is a Reconciler of the stored daemon d, with its environment.
type desk struct {
	*server
	reconciler *Reconciler
	state      *statetest.State
	clock      *fixture.Clock
	recorder   *fixture.Recorder
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{server: fixture.NewServer(makeDaemon("d")), recorder: &fixture.Recorder{}}
	d.restart(statetest.Everynode)
	d.informed(t)
	return d
}

// restart begins with a model in which there is nothing.
func (d *desk) restart(kinds model.Kinds) {
	d.clock = &fixture.Clock{Time: t0}
	d.state = statetest.Starting(kinds, &fixture.Queues{}, d.clock)
	d.state.Update(model.Update.Begin)
	placer := placement.New(placement.Options{
		Client: d.server, Mode: placement.Auto, Samples: placement.NewSampler(d.state.Emitted).Samples, Flipped: func(bool, string) {},
	})
	d.reconciler = New(Deps{State: d.state.State, Client: d.server, Placer: placer, Budgets: NewBudgets(d.state.State), Recorder: d.recorder})
}

// stored returns the daemon in the API server.
func (d *desk) stored(t *testing.T) *v1alpha1.DaemonSet {
	t.Helper()
	var set v1alpha1.DaemonSet
	if err := d.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "d"}, &set); err != nil {
		t.Fatal(err)
	}
	return &set
}

// informed passes the stored daemon to the model, as its informer does after every write.
func (d *desk) informed(t *testing.T) {
	t.Helper()
	d.state.See(t, d.stored(t))
}

func (d *desk) report(t *testing.T) time.Duration {
	t.Helper()
	result, err := d.reconciler.Reconcile(t.Context(), daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if err != nil {
		t.Fatal(err)
	}
	return result.RequeueAfter
}

func TestReporterWritesChanges(t *testing.T) {
	d := newDesk(t)
	node := makeNode("n1")
	d.state.SeeNode(node)
	d.state.SeePod(makePod(makeDaemon("d"), node, ready(t0)))
	if wait := d.report(t); wait != 0 || d.Statuses != 1 {
		t.Errorf("%d writes, again after %v; want one write", d.Statuses, wait)
	}
	got := d.stored(t).Status
	wantTypes := []string{"Available=True", "Progressing=False", "Degraded=False", "PlacementAdmission=True"}
	wantStrings(t, "conditions of generation 1", wantTypes, conditionsOf(got.Conditions, 1))
	got.Conditions = nil
	want := v1alpha1.DaemonSetStatus{
		ObservedGeneration: 1, DesiredNumberScheduled: 1, CurrentNumberScheduled: 1,
		NumberReady: 1, NumberAvailable: 1, UpdatedNumberScheduled: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want, +got):\n%s", diff)
	}

	// L2: the written status arrives by the watch, and there is nothing more to write.
	for range 3 {
		d.informed(t)
		d.clock.Advance(time.Hour)
		if wait := d.report(t); wait != 0 || d.Statuses != 1 {
			t.Fatalf("%d writes, again after %v; want no more", d.Statuses, wait)
		}
	}
}

func TestReporterDoesNotChangeTheCachedObject(t *testing.T) {
	d := newDesk(t)
	cached := d.stored(t)
	d.state.See(t, cached)
	before := cached.DeepCopy()
	d.report(t)
	if diff := cmp.Diff(before, cached); diff != "" || d.Statuses != 1 {
		t.Errorf("%d writes, the cached object changed:\n%s", d.Statuses, diff)
	}
}

func TestReporterKeepsOtherConditions(t *testing.T) {
	d := newDesk(t)
	set := d.stored(t)
	set.Status.Conditions = []metav1.Condition{{Type: "Foreign", Status: metav1.ConditionTrue, Reason: "R", LastTransitionTime: metav1.NewTime(t0)}}
	if err := d.Status().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	d.informed(t)
	d.report(t)
	conditions := d.stored(t).Status.Conditions
	if len(conditions) != 5 || conditions[0].Type != "Foreign" {
		t.Errorf("conditions %+v, want Foreign kept and ours added", conditions)
	}
}

func TestReporterWritesAtMostOnceASecond(t *testing.T) {
	d := newDesk(t)
	d.report(t)
	d.informed(t)
	d.clock.Advance(300 * time.Millisecond)
	for i, node := range []string{"n1", "n2", "n3"} {
		d.state.SeeNode(makeNode(node))
		if wait := d.report(t); wait != 700*time.Millisecond || d.Statuses != 1 {
			t.Errorf("change %d: %d writes, again after %v; want none before 700ms", i, d.Statuses, wait)
		}
	}
	d.clock.Advance(700 * time.Millisecond)
	if wait := d.report(t); wait != 0 || d.Statuses != 2 {
		t.Errorf("%d writes, again after %v; want the second write", d.Statuses, wait)
	}
	if got := d.stored(t).Status.DesiredNumberScheduled; got != 3 {
		t.Errorf("desired = %d, want all 3 changes in one write", got)
	}
}

// The interval of one daemon does not delay another.
func TestReporterTurnsArePerDaemon(t *testing.T) {
	d := newDesk(t)
	d.reconciler.note(daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
	if wait := d.reconciler.Wait(daemon.WorkloadKey{Namespace: "ns", UID: "uid-other"}); wait > 0 {
		t.Errorf("another daemon waits %v", wait)
	}
	if wait := d.reconciler.Wait(daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}); wait != time.Second {
		t.Errorf("after a write it waits %v, want 1s", wait)
	}
}

func TestReporterAnswers(t *testing.T) {
	resource := schema.GroupResource{Group: "everynode.dev", Resource: "daemonsets"}
	tests := map[string]struct {
		onStatus  error
		wantErr   bool
		wantAfter time.Duration
	}{
		// The change triggers another call before, unless admission answered so.
		"conflict":    {onStatus: apierrors.NewConflict(resource, "d", errors.New("x")), wantAfter: time.Minute},
		"gone":        {onStatus: apierrors.NewNotFound(resource, "d")},
		"not reached": {onStatus: errors.New("connection refused"), wantErr: true},
		"forbidden":   {onStatus: apierrors.NewForbidden(resource, "d", errors.New("x")), wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.OnStatus = test.onStatus
			result, err := d.reconciler.Reconcile(t.Context(), daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"})
			if (err != nil) != test.wantErr || result.RequeueAfter != test.wantAfter {
				t.Errorf("Reconcile = %+v, %v, want error %v, again after %v", result, err, test.wantErr, test.wantAfter)
			}
		})
	}
}

// The cache lags behind: a write must not revert a newer write of another client.
func TestReporterDoesNotOverwrite(t *testing.T) {
	d := newDesk(t)
	newer := d.stored(t)
	newer.Spec.MinReadySeconds = 5
	if err := d.Update(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	d.report(t)
	got := d.stored(t)
	if got.Spec.MinReadySeconds != 5 || got.Status.ObservedGeneration != 0 {
		t.Errorf("minReadySeconds %d, observed generation %d; want the newer object untouched", got.Spec.MinReadySeconds, got.Status.ObservedGeneration)
	}
}

func TestReporterForgetsDaemons(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *desk){
		"gone":        func(_ *testing.T, d *desk) { d.state.ForgetDaemon(daemon.WorkloadKey{Namespace: "ns", UID: "uid-d"}) },
		"terminating": func(t *testing.T, d *desk) { d.state.See(t, makeDaemon("d", generation(2), deleting)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.report(t)
			leave(t, d)
			d.clock.Advance(time.Hour)
			if wait := d.report(t); wait != 0 || d.Statuses != 1 || len(d.reconciler.written) != 0 {
				t.Errorf("%d writes, again after %v, recorded %v", d.Statuses, wait, d.reconciler.written)
			}
		})
	}
}

// A cell's problem makes the daemon Degraded, and Stalled for kstatus, until it is solved.
func TestReporterReportsProblems(t *testing.T) {
	d := newDesk(t)
	cell := fixture.Key(makeDaemon("d")).On("n1")
	d.state.SeeNode(makeNode("n1"))
	d.state.SetProblem(cell, daemon.Problem{Reason: answers.ReasonFailed, Message: "exceeded quota"})
	d.report(t)
	d.informed(t)
	want := []string{"Available=False", "Progressing=True", "Degraded=True", "Reconciling=True", "Stalled=True", "PlacementAdmission=True"}
	if diff := cmp.Diff(want, conditionsOf(d.stored(t).Status.Conditions, 1)); diff != "" {
		t.Errorf("conditions (-want, +got):\n%s", diff)
	}
	if degraded := meta.FindStatusCondition(d.stored(t).Status.Conditions, v1alpha1.ConditionDegraded); degraded.Message != "exceeded quota (1 node: n1)" {
		t.Errorf("message %q", degraded.Message)
	}
	d.state.SetProblem(cell, daemon.Problem{})
	d.state.SeePod(makePod(makeDaemon("d"), makeNode("n1"), ready(t0)))
	d.clock.Advance(time.Second)
	d.report(t)
	want = []string{"Available=True", "Progressing=False", "Degraded=False", "PlacementAdmission=True"}
	if diff := cmp.Diff(want, conditionsOf(d.stored(t).Status.Conditions, 1)); diff != "" {
		t.Errorf("conditions afterwards (-want, +got):\n%s", diff)
	}
}

// conditionsOf returns the conditions of a generation in short form.
func conditionsOf(conditions []metav1.Condition, generation int64) (short []string) {
	for _, condition := range conditions {
		if condition.ObservedGeneration == generation {
			short = append(short, condition.Type+"="+string(condition.Status))
		}
	}
	return short
}

func TestReporterReportsPlacement(t *testing.T) {
	d := newDesk(t)
	d.report(t)
	d.informed(t)
	d.Admission = fixture.Absent
	if _, err := d.reconciler.placer.Create(t.Context(), fixture.Emitted("n1")); err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(time.Second)
	d.report(t)
	if got := d.stored(t).Status.Conditions; !meta.IsStatusConditionFalse(got, v1alpha1.ConditionPlacementAdmission) {
		t.Errorf("conditions %+v, want PlacementAdmission False", got)
	}
}
