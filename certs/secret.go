package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// secret serves the pair in a Secret of type kubernetes.io/tls from memory. While the Secret is broken or
// missing, the last good pair is served.
type secret struct {
	client client.WithWatch
	key    types.NamespacedName
	now    func() time.Time

	mu      sync.RWMutex
	served  *tls.Certificate
	problem error // why the current Secret is not served
}

var _ Source = (*secret)(nil)

// FromSecret returns a source that serves the certificate in a Secret, and follows the Secret, which need not
// exist yet.
func FromSecret(c client.WithWatch, key types.NamespacedName) Source {
	return &secret{client: c, key: key, now: time.Now, problem: fmt.Errorf("the Secret %s has not been read yet", key)}
}

func (s *secret) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.served == nil {
		return nil, s.absence()
	}
	return s.served, nil
}

func (s *secret) Ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.served == nil {
		return s.absence()
	}
	return nil
}

func (s *secret) absence() error {
	return fmt.Errorf("no certificate to serve: %w", s.problem)
}

func (s *secret) Expiration() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.served == nil {
		return time.Time{}
	}
	return s.served.Leaf.NotAfter
}

func (s *secret) Start(ctx context.Context) error {
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: s.key.Name}}
	return follow(ctx, s.client, object, func(now client.Object) {
		found, _ := now.(*corev1.Secret)
		s.take(ctx, found)
	})
}

// take serves the pair of a Secret, nil if there is none, from now on, or reports why not.
func (s *secret) take(ctx context.Context, found *corev1.Secret) {
	logger := log.FromContext(ctx).WithValues("secret", s.key)
	pair, err := s.usable(found)
	s.mu.Lock()
	former := s.served
	s.problem = err
	if err == nil {
		s.served = pair
	}
	s.mu.Unlock()
	switch {
	case err == nil && (former == nil || !former.Leaf.Equal(pair.Leaf)):
		logger.Info("Serving a new certificate", "serial", pair.Leaf.SerialNumber, "expires", pair.Leaf.NotAfter)
	case err != nil && former != nil:
		logger.Error(err, "Keeping the previous certificate", "expires", former.Leaf.NotAfter)
	case err != nil:
		logger.Error(err, "No certificate to serve yet")
	}
}

// usable returns the pair of a Secret, unless it is unusable.
func (s *secret) usable(found *corev1.Secret) (*tls.Certificate, error) {
	if found == nil {
		return nil, fmt.Errorf("the Secret %s does not exist: everynode-controller or cert-manager has to create it, see --webhook-certificates", s.key)
	}
	pair, err := tls.X509KeyPair(found.Data[corev1.TLSCertKey], found.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("the Secret %s contains no certificate with its key under %s and %s; delete it so that it is created again: %w",
			s.key, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if now := s.now(); s.served != nil && now.After(pair.Leaf.NotAfter) && !now.After(s.served.Leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate in the Secret %s expired at %s, and one that is still valid is served", s.key, pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return &pair, nil
}
