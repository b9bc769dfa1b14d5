package certs

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// authorityKey is the key of the CA's certificate in the Secret of a certificate.
const authorityKey = "ca.crt"

// selfManaged is the keeper of the self-managed mode: it executes plan. All its state is in the Secrets and the
// configurations, which it reads from the API server before every step; a write fails if they changed in the
// meantime.
type selfManaged struct {
	policy
	client         client.Client
	namespace      string
	configurations configurations
	now            func() time.Time
	// retire removes objects of another mode that would undo this one's work.
	retire func(context.Context) error

	// The Secrets as observe read them; nil if there is none.
	authoritySecret, leafSecret *corev1.Secret
}

var _ keeper = (*selfManaged)(nil)

func (m *selfManaged) prepare(ctx context.Context) error { return m.retire(ctx) }

func (m *selfManaged) secrets() []string { return []string{AuthoritySecret, LeafSecret} }

func (m *selfManaged) step(ctx context.Context) (step, error) {
	s, err := m.observe(ctx)
	if err != nil {
		return step{}, err
	}
	next := m.plan(s)
	return next, m.act(ctx, s, next)
}

func (m *selfManaged) observe(ctx context.Context) (state, error) {
	s := state{now: m.now()}
	var err error
	if m.authoritySecret, err = getSecret(ctx, m.client, m.namespace, AuthoritySecret); err != nil {
		return state{}, err
	}
	if m.leafSecret, err = getSecret(ctx, m.client, m.namespace, LeafSecret); err != nil {
		return state{}, err
	}
	if m.authoritySecret != nil {
		s.authorities, s.damage = decodeAuthorities(m.authoritySecret.Data)
	}
	s.leaf, s.absence = leafOf(m.leafSecret)
	s.configurations, err = m.configurations.observe(ctx)
	return s, err
}

// leafOf returns the pair in the webhook's Secret, or why there is none.
func leafOf(found *corev1.Secret) (leaf *pair, absence string) {
	if found == nil {
		return nil, "the Secret with the certificate does not exist"
	}
	leaf, err := parsePair(found.Data[corev1.TLSCertKey], found.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Sprintf("the Secret contains no certificate with its key: %v", err)
	}
	return leaf, ""
}

func (m *selfManaged) act(ctx context.Context, s state, next step) error {
	a := s.authorities
	switch next.deed {
	case idle:
		return nil
	case keep:
		return m.writeAuthorities(ctx, a.keeping(next.of, next.until))
	case found:
		ca, err := newAuthority(s.now, m.authority)
		if err != nil {
			return err
		}
		a.next, a.trusted = ca, time.Time{}
		return m.writeAuthorities(ctx, a)
	case retract:
		a.trusted = time.Time{}
		return m.writeAuthorities(ctx, a)
	case note:
		a.trusted = s.now
		return m.writeAuthorities(ctx, a)
	case promote:
		return m.writeAuthorities(ctx, a.promoted(next.until))
	case forget:
		return m.writeAuthorities(ctx, a.forgetting(s.now))
	case spread:
		return m.configurations.write(ctx, next.configuration, next.of, "")
	case issue:
		leaf, err := newLeaf(a.current, s.now, m.lifetime, m.names)
		if err != nil {
			return err
		}
		return m.writeLeaf(ctx, leaf, a.current.Certificate)
	default:
		return next.deed.unknown()
	}
}

func (m *selfManaged) writeAuthorities(ctx context.Context, a authorities) error {
	data, err := a.encode()
	if err != nil {
		return err
	}
	return writeSecret(ctx, m.client, m.authoritySecret, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: AuthoritySecret},
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	})
}

func (m *selfManaged) writeLeaf(ctx context.Context, leaf *pair, ca *x509.Certificate) error {
	key, err := leaf.keyPEM()
	if err != nil {
		return err
	}
	return writeSecret(ctx, m.client, m.leafSecret, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: LeafSecret},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       certificatePEM(leaf.Certificate, nil),
			corev1.TLSPrivateKeyKey: key,
			authorityKey:            certificatePEM(ca, nil),
		},
	})
}

// getSecret returns nil if the Secret does not exist.
func getSecret(ctx context.Context, c client.Client, namespace, name string) (*corev1.Secret, error) {
	found := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, found)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	return found, nil
}

// writeSecret creates a Secret or updates the one that was seen; it fails if that changed.
func writeSecret(ctx context.Context, c client.Client, seen, want *corev1.Secret) error {
	if seen == nil {
		if err := c.Create(ctx, want); err != nil {
			return fmt.Errorf("creating Secret %s/%s: %w", want.Namespace, want.Name, err)
		}
		return nil
	}
	updated := seen.DeepCopy()
	updated.Data = want.Data
	if err := c.Update(ctx, updated); err != nil {
		return fmt.Errorf("updating Secret %s/%s: %w", want.Namespace, want.Name, err)
	}
	return nil
}
