package certs

import (
	"context"
	"crypto/tls"
	"time"
)

// Source is where a server's certificate comes from.
type Source interface {
	// GetCertificate is the certificate to serve now; it is called for every handshake.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready says why there is no certificate to serve; nil means that there is one. One that has
	// expired is one: a server that hid it behind its readiness would hide from the API server,
	// and so from the user, what is wrong.
	Ready() error
	// Expiration is when the certificate that is served ends; the zero time when there is none.
	Expiration() time.Time
	// Start follows renewals until ctx ends. An error means that it cannot.
	Start(ctx context.Context) error
}

// ServerConfig is the TLS configuration of a server whose only client is the API server: TLS
// 1.3, HTTP/2 and the source's certificate.
func ServerConfig(source Source) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: source.GetCertificate,
	}
}
