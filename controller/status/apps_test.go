package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
)

// The status of a DaemonSet of apps/v1 is written to that object, and only when it changed; that of one that is not served
// by a patch, which leaves its spec alone.
func TestStatusOfApps(t *testing.T) {
	d := &desk{server: fixture.NewServer(fixture.Stored(makeDaemon("d", fixture.NativeKind))), recorder: &fixture.Recorder{}}
	d.restart(model.Kinds{Apps: true})
	d.state.SeeNode(makeNode("n1"))
	stored := func() *v1alpha1.DaemonSet {
		var set appsv1.DaemonSet
		if err := d.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "d"}, &set); err != nil {
			t.Fatal(err)
		}
		return fixture.FromStored(&set)
	}
	for range 3 {
		d.state.See(t, stored())
		d.report(t)
		d.clock.Advance(time.Minute)
	}
	got := stored()
	wantStrings(t, "conditions without a generation", []string{"Available=False", "Progressing=True", "Degraded=False", "Reconciling=True", "PlacementAdmission=True"},
		conditionsOf(got.Status.Conditions, 0))
	if d.Statuses != 1 || got.Status.ObservedGeneration != 1 || got.Status.DesiredNumberScheduled != 1 {
		t.Errorf("%d writes of %+v, want one", d.Statuses, got.Status)
	}

	for range 3 {
		if err := d.state.SeeDaemon(stored(), errUndecodable); err != nil && meta.IsStatusConditionTrue(stored().Status.Conditions, v1alpha1.ConditionStalled) {
			t.Errorf("%v is reported again", err)
		}
		d.report(t)
		d.clock.Advance(time.Minute)
	}
	unserved := stored()
	if degraded := meta.FindStatusCondition(unserved.Status.Conditions, v1alpha1.ConditionDegraded); degraded.Reason != v1alpha1.ReasonSpecUndecodable || degraded.ObservedGeneration != 0 {
		t.Errorf("condition %+v", degraded)
	}
	if diff := cmp.Diff(got.Spec, unserved.Spec); diff != "" || d.Statuses != 1 || unserved.Status.DesiredNumberScheduled != 1 {
		t.Errorf("%d updates; the spec changed:\n%s", d.Statuses, diff)
	}
	wantStrings(t, "events", []string{"d: Warning SpecUndecodable"}, d.recorder.Drain())
}
