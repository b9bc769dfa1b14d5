package engine

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/controller/state"
)

// actionPlace is the action of events about placement admission.
const actionPlace = "PlacePods"

// announce reports to every daemon, by event and condition, that placement admission stopped or began to be
// effective. When it began, waiting cells are planned again.
func announce(of *state.State, recorder events.EventRecorder) func(effective bool, cause string) {
	return func(effective bool, cause string) {
		for _, workload := range active(of) {
			if effective {
				recorder.Eventf(workload.Metadata(), nil, corev1.EventTypeNormal, placement.ReasonEffective, actionPlace,
					"Admission pins pods to their nodes again")
			} else {
				recorder.Eventf(workload.Metadata(), nil, corev1.EventTypeWarning, placement.ReasonNotEffective, actionPlace,
					"Placement admission is not effective: %s", cause)
			}
			of.Update(func(u model.Update) { u.Report(workload.Key) })
		}
		if effective {
			of.Update(model.Update.Replan)
		}
	}
}
