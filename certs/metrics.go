package certs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

// Renewal is monitored from both ends (files/rules.yaml of the chart): the served certificate, and failures
// of the renewal.
var (
	expirationDesc = metric.NewGaugeDesc("everynode_webhook_certificate_expiration_timestamp_seconds",
		"When the certificate that this server serves expires, in seconds since 1970. There is no series without a certificate.")
	renewalErrors = metric.NewCounter("everynode_webhook_certificate_renewal_errors_total",
		"Number of failed attempts to renew the webhook's certificate or its CA, or to update caBundle; the controller's log contains the errors.")
)

func init() { metrics.Registry.MustRegister(renewalErrors) }

// expiration reports when the certificate of a source expires.
type expiration struct{ source Source }

// NewExpirationCollector returns the metric of the certificate that a source serves.
func NewExpirationCollector(source Source) prometheus.Collector { return expiration{source} }

func (e expiration) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- expirationDesc }

func (e expiration) Collect(series chan<- prometheus.Metric) {
	if ends := e.source.Expiration(); !ends.IsZero() {
		series <- prometheus.MustNewConstMetric(expirationDesc, prometheus.GaugeValue, float64(ends.UnixNano())/float64(time.Second))
	}
}
