// Package telemetry configures how Everynode's programs serve /metrics.
package telemetry

import (
	"crypto/tls"
	"net/http"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Each unknown token costs the API server a TokenReview, and any client that reaches the port may send as many
// as it likes.
const (
	reviewQPS   = 5
	reviewBurst = 20
)

// Options serve /metrics at an address, "0" for none. If secure, they use TLS, with a certificate generated at
// startup, for clients with a token whose user may get the URL /metrics, which the API server checks; otherwise
// HTTP, for all clients.
func Options(address string, secure bool) metricsserver.Options {
	options := metricsserver.Options{BindAddress: address}
	if !secure {
		return options
	}
	options.SecureServing, options.FilterProvider = true, authorized
	// HTTP/2 is not needed, and lets a client start and abandon requests faster than they are answered.
	options.TLSOpts = []func(*tls.Config){func(config *tls.Config) {
		config.MinVersion, config.NextProtos = tls.VersionTLS12, []string{"http/1.1"}
	}}
	return options
}

// authorized is controller-runtime's filter, with a rate-limited client.
func authorized(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	limited := rest.CopyConfig(config)
	limited.QPS, limited.Burst = reviewQPS, reviewBurst
	return filters.WithAuthenticationAndAuthorization(limited, client)
}
