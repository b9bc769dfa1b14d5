package engine

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

var cellDrift = metric.NewCounter("everynode_cell_drift_total",
	"Differences between the controller's state of DaemonSets and its caches, found and corrected by the scrub. It should be 0.")

func init() { metrics.Registry.MustRegister(cellDrift) }
