package certs

import (
	"context"
	"crypto/tls"
	"time"
)

// Source provides a server's certificate.
type Source interface {
	// GetCertificate returns the certificate to serve now; it is called for every handshake.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready returns why there is no certificate to serve, or nil. An expired certificate counts: if it made the
	// server unready, the API server, and so the user, would not see the reason.
	Ready() error
	// Expiration is when the served certificate expires; the zero time if there is none.
	Expiration() time.Time
	// Start follows renewals until ctx ends. It returns an error if it cannot.
	Start(ctx context.Context) error
}

// ServerConfig returns the TLS configuration of a server whose only client is the API server: TLS 1.3, HTTP/2
// and the source's certificate.
func ServerConfig(source Source) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: source.GetCertificate,
	}
}
