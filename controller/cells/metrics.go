package cells

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/metric"
)

var podsCreated = metric.NewCounterVec("everynode_pods_created_total",
	"Daemon pods created, by the component that pinned them to their node.",
	metric.Label{Name: "placed_by", Values: []string{placement.PlacedByAdmission, placement.PlacedByController}})

func init() { metrics.Registry.MustRegister(podsCreated) }
