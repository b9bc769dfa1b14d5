package controller

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

var (
	podsCreated = metric.NewCounterVec("everynode_pods_created_total",
		"Daemon pods created, by who pinned them to their node.",
		metric.Label{Name: "placed_by", Values: []string{placedByAdmission, placedByController}})

	cellDrift = metric.NewCounter("everynode_cell_drift_total",
		"Differences between what the controller knows of DaemonSets and what its caches show, found and corrected by the scrub. It should be 0.")

	admissionEffective = metric.NewGauge("everynode_placement_admission_effective",
		"1 while the cluster's admission rewrites emitted pods, 0 while the controller pins them itself.")
)

func init() {
	metrics.Registry.MustRegister(podsCreated, cellDrift, admissionEffective)
}
