package controller

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	podsCreated = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "everynode_pods_created_total",
		Help: "Daemon pods created, by who pinned them to their node: admission or controller.",
	}, []string{"placed_by"})

	cellDrift = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "everynode_cell_drift_total",
		Help: "Differences between what is known of daemons and what the caches show, found by the scrub and put right. It should be 0.",
	})

	admissionEffective = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "everynode_placement_admission_effective",
		Help: "1 while the cluster's admission rewrites emitted pods, 0 while the controller pins them itself.",
	})
)

func init() {
	metrics.Registry.MustRegister(podsCreated, cellDrift, admissionEffective)
}
