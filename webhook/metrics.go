package webhook

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

// outcome is the result of a request.
type outcome string

const (
	patched   outcome = "patched"   // a pod was placed
	unchanged outcome = "unchanged" // allowed without a change
	warned    outcome = "warned"    // allowed with warnings; the webhook configuration may be wrong
	denied    outcome = "denied"    // refused because of its object
	late      outcome = "late"      // refused because it was not evaluated in time
	malformed outcome = "malformed" // could not be read
	busy      outcome = "busy"      // an error: no capacity was free in time
)

var outcomes = []string{
	string(patched), string(unchanged), string(warned), string(denied), string(late), string(malformed), string(busy),
}

var (
	pathLabel = metric.Label{Name: "path", Values: []string{PlacementPath, ValidationPath}}

	requests = metric.NewCounterVec("everynode_webhook_requests_total",
		"Admission requests, by path and outcome.", pathLabel, metric.Label{
			Name: "outcome", Values: outcomes,
			Meaning: "patched: a pod was placed; unchanged: allowed as it is; warned: allowed with warnings; denied: refused because of the object; " +
				"late: refused because it was not evaluated in time; malformed: could not be read; busy: no capacity was free in time",
		})

	// The buckets are narrow where most answers fall, so that quantiles are meaningful.
	durations = metric.NewHistogramVec("everynode_webhook_request_duration_seconds",
		"Time from an admission request's header to the end of its answer, by path.",
		[]float64{25e-6, 50e-6, 75e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6,
			1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 3}, pathLabel)
)

func init() { metrics.Registry.MustRegister(requests, durations) }

func observe(path string, outcome outcome, begun time.Time) {
	requests.WithLabelValues(path, string(outcome)).Inc()
	durations.WithLabelValues(path).Observe(time.Since(begun).Seconds())
}
