package preemption

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// refillsTotal has no labels: a node or a pod would be one too many, and the event names both.
var refillsTotal = metrics.NewCounter(&metrics.CounterOpts{
	Namespace:      "everynode",
	Subsystem:      "scheduler",
	Name:           "preemption_refills_total",
	Help:           "How often the room that preemption had made for a daemon's pod was taken by a pod of lower priority before it got there.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(refillsTotal) }
