package certs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

// Renewal is watched from both ends (files/rules.yaml of the chart): by what a server serves, and by
// whether who renews it fails.
var (
	expirationDesc = metric.NewGaugeDesc("everynode_webhook_certificate_expiration_timestamp_seconds",
		"When the certificate that this server serves expires, in seconds since 1970. There is no series while it has none.")
	renewalErrors = metric.NewCounter("everynode_webhook_certificate_renewal_errors_total",
		"Number of failures to renew the webhook's certificate, its CA or the trust in them; the controller's log shows why.")
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
