package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// files serves a pair of PEM files and follows their changes.
type files struct{ watcher *certwatcher.CertWatcher }

var _ Source = (*files)(nil)

// FromFiles returns a source that serves a PEM certificate (with its chain) and key, and reloads them when they
// change. It fails if they cannot be read or do not match now.
func FromFiles(certFile, keyFile string) (Source, error) {
	if certFile == "" || keyFile == "" {
		return nil, errors.New("the certificate and its key are both required: set --tls-cert-file and --tls-private-key-file")
	}
	watcher, err := certwatcher.New(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("loading the certificate %s and its key %s (both PEM, of one pair): %w", certFile, keyFile, err)
	}
	return &files{watcher}, nil
}

func (f *files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Ready is always nil: FromFiles has loaded a pair, which stays while a new one is invalid.
func (f *files) Ready() error { return nil }

func (f *files) Expiration() time.Time {
	pair, err := f.watcher.GetCertificate(nil)
	if err != nil || pair == nil || pair.Leaf == nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}

func (f *files) Start(ctx context.Context) error {
	if err := f.watcher.Start(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("following the certificate's files: %w", err)
	}
	return nil
}
