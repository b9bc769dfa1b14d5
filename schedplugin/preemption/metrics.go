package preemption

import (
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/everynode/everynode/internal/metric"
)

// refillsTotal has no labels: one for nodes or pods would have too many values, and the event names both.
var refillsTotal = metric.NewCounter("everynode_scheduler_preemption_refills_total",
	"How often a pod of lower priority took the room that preemption had made for a daemon pod before that pod got there.")

func init() { legacyregistry.RawMustRegister(refillsTotal) }
