package engine

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

var cellDrift = metric.NewCounter("everynode_cell_drift_total",
	"Differences between the controller's state of DaemonSets and its caches, found and corrected by the scrub. It should be 0.")

var emergencyStop = metric.NewGauge("everynode_emergency_stop",
	"1 while the emergency stop is on, so that no pod is replaced by one of a new template; otherwise 0, also in a replica that does not lead.")

func init() { metrics.Registry.MustRegister(cellDrift, emergencyStop) }
