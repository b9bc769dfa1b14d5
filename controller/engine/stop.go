package engine

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// ConfigMaps observes the ConfigMap of the emergency stop. The cache has no other.
func (e *Engine) ConfigMaps() Observer[*corev1.ConfigMap] {
	seen := func(object *corev1.ConfigMap) {
		if object.Namespace == v1alpha1.SystemNamespace && object.Name == v1alpha1.StopName {
			e.setStop(daemon.NewStop(object.Data))
		}
	}
	return Observer[*corev1.ConfigMap]{
		Added:   seen,
		Updated: func(_, object *corev1.ConfigMap) { seen(object) },
		Deleted: func(object *corev1.ConfigMap) {
			gone := *object
			gone.Data = nil
			seen(&gone)
		},
	}
}

// ConfigMapsListed has to be called once all ConfigMaps that exist were observed. Until then no pod is replaced.
func (e *Engine) ConfigMapsListed() {
	var known bool
	e.state.Update(func(u model.Update) { known = !u.Stop().Unknown })
	if !known {
		e.setStop(daemon.Stop{})
	}
}

func (e *Engine) setStop(stop daemon.Stop) {
	var was daemon.Stop
	e.state.Update(func(u model.Update) {
		was = u.Stop()
		u.SetStop(stop)
	})
	switch {
	case stop.On && !was.On:
		emergencyStop.Set(1)
		e.log.Info("the emergency stop is on: no pod is replaced", "reason", stop.Reason)
	case was.On && !stop.On:
		emergencyStop.Set(0)
		e.log.Info("the emergency stop is off")
	}
}
