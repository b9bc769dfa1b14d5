package certs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Renewal is watched from both ends (files/rules.yaml of the chart): by what a server serves, and by
// whether who renews it fails.
var (
	expirationDesc = prometheus.NewDesc("everynode_webhook_certificate_expiration_timestamp_seconds",
		"When the certificate that this server serves ends, in seconds since 1970. There is no series while it has none.", nil, nil)
	renewalErrors = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "everynode_webhook_certificate_renewal_errors_total",
		Help: "Number of times that the webhook's certificate, its CA or the trust in them could not be kept up; the controller's log says why.",
	})
)

func init() { metrics.Registry.MustRegister(renewalErrors) }

// expiration tells Prometheus when what a source serves ends.
type expiration struct{ source Source }

// NewExpirationCollector is the metric of the certificate that a source serves.
func NewExpirationCollector(source Source) prometheus.Collector { return expiration{source} }

func (e expiration) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- expirationDesc }

func (e expiration) Collect(series chan<- prometheus.Metric) {
	if ends := e.source.Expiration(); !ends.IsZero() {
		series <- prometheus.MustNewConstMetric(expirationDesc, prometheus.GaugeValue, float64(ends.UnixNano())/float64(time.Second))
	}
}
