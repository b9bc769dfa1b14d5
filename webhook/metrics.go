package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
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

var (
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "everynode_webhook_requests_total",
		Help: "Admission requests, by path and outcome: patched, unchanged, warned, denied, late, malformed or busy.",
	}, []string{"path", "outcome"})

	// The buckets are fine where most answers are, so that quantiles are meaningful.
	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "everynode_webhook_request_duration_seconds",
		Help: "Time from an admission request's header to the end of its answer, by path.",
		Buckets: []float64{25e-6, 50e-6, 75e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6,
			1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 3},
	}, []string{"path"})
)

func init() { metrics.Registry.MustRegister(requests, durations) }

func observe(path string, outcome outcome, begun time.Time) {
	requests.WithLabelValues(path, string(outcome)).Inc()
	durations.WithLabelValues(path).Observe(time.Since(begun).Seconds())
}
