// Package telemetry says how Everynode's programs serve /metrics.
package telemetry

import (
	"crypto/tls"
	"net/http"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Each answer to a token that is not known yet costs the API server a TokenReview; whoever reaches the port
// may send as many as he likes.
const (
	reviewQPS   = 5
	reviewBurst = 20
)

// Options serve /metrics at an address, "0" for none: over TLS, with a certificate of its own that is made
// at the start, to clients with a token whose user may get the URL /metrics, for which the API server is
// asked; or, when it is not to be secure, over HTTP to everybody.
func Options(address string, secure bool) metricsserver.Options {
	options := metricsserver.Options{BindAddress: address}
	if !secure {
		return options
	}
	options.SecureServing, options.FilterProvider = true, authorized
	// Nobody multiplexes here, and HTTP/2 lets a client begin and abandon requests faster than they are answered.
	options.TLSOpts = []func(*tls.Config){func(config *tls.Config) {
		config.MinVersion, config.NextProtos = tls.VersionTLS12, []string{"http/1.1"}
	}}
	return options
}

// authorized is controller-runtime's filter, with a client that is held to a rate.
func authorized(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	limited := rest.CopyConfig(config)
	limited.QPS, limited.Burst = reviewQPS, reviewBurst
	return filters.WithAuthenticationAndAuthorization(limited, client)
}
