package status

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/internal/daemon"
)

var errUndecodable = errors.New("spec.template: it cannot be read")

// The reason why a daemon is not served is written once, and reported by one event, also after a restart.
func TestReporterOfUnservedDaemons(t *testing.T) {
	d := newDesk(t)
	d.state.SeeNode(makeNode("n1"))
	d.report(t)
	before := d.stored(t)
	before.Generation = 2
	if err := d.Update(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	bad := func() {
		set := d.stored(t)
		set.Spec = v1alpha1.DaemonSetSpec{}
		_ = d.state.SeeDaemon(set, errUndecodable)
	}
	bad()
	d.clock.Advance(statusInterval)
	d.report(t)
	got := d.stored(t)
	wantStrings(t, "conditions", []string{"Available=Unknown", "Progressing=False", "Degraded=True", "Stalled=True"}, conditionsOf(got.Status.Conditions, 2))
	degraded := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionDegraded)
	if degraded.Reason != daemon.ReasonSpecUndecodable || got.Status.ObservedGeneration != 2 || degraded.ObservedGeneration != 2 {
		t.Errorf("status: %+v", got.Status)
	}
	if got.Spec.Selector == nil || len(got.Spec.Template.Spec.Containers) != 1 {
		t.Errorf("the spec was written: %+v", got.Spec)
	}
	wantStrings(t, "events", []string{"d: Warning " + daemon.ReasonSpecUndecodable}, d.recorder.Drain())

	d.restart(statetest.Everynode)
	bad()
	d.clock.Advance(statusInterval)
	d.report(t)
	if again := d.stored(t); again.ResourceVersion != got.ResourceVersion {
		t.Errorf("written again: %+v", again.Status)
	}
	wantStrings(t, "events", nil, d.recorder.Drain())

	d.state.See(t, d.stored(t))
	d.state.SeeNode(makeNode("n1"))
	d.clock.Advance(statusInterval)
	d.report(t)
	wantStrings(t, "conditions once it is corrected", []string{"Available=False", "Progressing=True", "Degraded=False", "PlacementAdmission=True", "Reconciling=True"}, conditionsOf(d.stored(t).Status.Conditions, 2))
}

// A DaemonSet that has changed since is not written: an event triggers another call.
func TestReporterOfDaemonsNoLongerServed(t *testing.T) {
	d := newDesk(t)
	seen := d.stored(t)
	changed := d.stored(t)
	changed.Labels = map[string]string{"a": "b"}
	if err := d.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	_ = d.state.SeeDaemon(seen, errUndecodable)
	d.report(t)
	if got := d.stored(t).Status.Conditions; len(got) != 0 {
		t.Errorf("conditions: %v", got)
	}
	wantStrings(t, "events", nil, d.recorder.Drain())
}
