package engine

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

func stopConfig(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: name},
		Data:       map[string]string{v1alpha1.StopKey: value, v1alpha1.StopReasonKey: "INC-1"},
	}
}

func stopOf(of *state.State) (stop daemon.Stop) {
	of.Update(func(u model.Update) { stop = u.Stop() })
	return stop
}

// The stop is unknown until the ConfigMap was listed, and follows it from then on.
func TestEmergencyStopFollowsItsConfigMap(t *testing.T) {
	e := New(Deps{Kinds: statetest.Everynode, Clock: &clock{Time: t0}})
	observer := e.ConfigMaps()
	want := func(step string, want daemon.Stop, metric float64) {
		t.Helper()
		if got := stopOf(e.state); got != want {
			t.Errorf("%s: %+v, want %+v", step, got, want)
		}
		if got := testutil.ToFloat64(emergencyStop); got != metric {
			t.Errorf("%s: the metric is %v, want %v", step, got, metric)
		}
	}
	on := daemon.Stop{On: true, Reason: "INC-1"}
	want("at the start", daemon.Stop{Unknown: true}, 0)
	observer.Added(stopConfig(v1alpha1.StopName, "true"))
	want("listed", on, 1)
	e.ConfigMapsListed()
	want("all are listed", on, 1)
	observer.Updated(nil, stopConfig(v1alpha1.StopName, "false"))
	want("changed", daemon.Stop{}, 0)
	observer.Updated(nil, stopConfig(v1alpha1.StopName, "true"))
	observer.Added(stopConfig("another", "false"))
	want("changed again", on, 1)
	observer.Deleted(stopConfig(v1alpha1.StopName, "true"))
	want("deleted", daemon.Stop{}, 0)
}

func TestEmergencyStopIsOffIfThereIsNoConfigMap(t *testing.T) {
	e := New(Deps{Kinds: statetest.Everynode, Clock: &clock{Time: t0}})
	e.ConfigMapsListed()
	if got := stopOf(e.state); got != (daemon.Stop{}) {
		t.Errorf("the stop is %+v", got)
	}
}
