package preemption

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// refillsTotal has no labels, because their values would be nodes or pods; the event names both.
var refillsTotal = metrics.NewCounter(&metrics.CounterOpts{
	Namespace:      "everynode",
	Subsystem:      "scheduler",
	Name:           "preemption_refills_total",
	Help:           "How often a pod of lower priority took the room that preemption had made for a daemon's pod.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(refillsTotal) }
