package engine

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/metric"
)

var (
	podsCreated = metric.NewCounterVec("everynode_pods_created_total",
		"Daemon pods created, by who pinned them to their node.",
		metric.Label{Name: "placed_by", Values: []string{placement.PlacedByAdmission, placement.PlacedByController}})

	cellDrift = metric.NewCounter("everynode_cell_drift_total",
		"Differences between what the controller knows of DaemonSets and what its caches show, found and corrected by the scrub. It should be 0.")
)

func init() {
	metrics.Registry.MustRegister(podsCreated, cellDrift)
}
