package certs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certmanagermeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	applyv1 "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	applymeta "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/meta/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The objects requested from cert-manager, all in the namespace of the Options: an Issuer of self-signed
// certificates signs a CA, whose Issuer signs the webhook's certificate. If the certificate were its own CA,
// each renewal would break the trust in it.
const (
	selfSignedIssuer   = "everynode-webhook-self-signed"
	authorityIssuer    = IssuerSecret // the CA's Certificate, its Issuer and its Secret share a name
	webhookCertificate = "everynode-webhook"
	fieldOwner         = client.FieldOwner("everynode-controller")
)

func addCertManager(scheme *runtime.Scheme) error { return certmanagerv1.AddToScheme(scheme) }

// servesCertManager reports whether the API server serves cert-manager's Certificates.
func servesCertManager(d discovery.DiscoveryInterface) (bool, error) {
	resources, err := d.ServerResourcesForGroupVersion(certmanagerv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("checking whether the API of cert-manager is served: %w", err)
	}
	return slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == "certificates" }), nil
}

// certManager is the keeper of the cert-manager mode: it executes planInjection.
type certManager struct {
	client         client.Client
	options        Options
	configurations configurations
	now            func() time.Time

	trusted, replaced time.Time
	// leaf is the webhook's Secret as observed; nil if there is none.
	leaf *corev1.Secret
}

var _ keeper = (*certManager)(nil)

func (m *certManager) secrets() []string { return []string{LeafSecret, IssuerSecret} }

// prepare requests the CA; no served certificate depends on it yet.
func (m *certManager) prepare(ctx context.Context) error {
	namespace := m.options.Namespace
	for _, object := range []runtime.ApplyConfiguration{
		applyv1.Issuer(selfSignedIssuer, namespace).
			WithSpec(applyv1.IssuerSpec().WithSelfSigned(applyv1.SelfSignedIssuer())),
		applyv1.Certificate(authorityIssuer, namespace).WithSpec(m.authoritySpec()),
		applyv1.Issuer(authorityIssuer, namespace).
			WithSpec(applyv1.IssuerSpec().WithCA(applyv1.CAIssuer().WithSecretName(IssuerSecret))),
	} {
		if err := m.client.Apply(ctx, object, fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("requesting a CA from cert-manager: %w", err)
		}
	}
	return nil
}

// authoritySpec returns the spec of the CA. The CA keeps its key when it is renewed, so that certificates from
// before and after are trusted by either CA that cainjector may have copied.
func (m *certManager) authoritySpec() *applyv1.CertificateSpecApplyConfiguration {
	return applyv1.CertificateSpec().
		WithIsCA(true).
		WithCommonName("everynode-webhook-ca").
		WithSecretName(IssuerSecret).
		WithDuration(metav1.Duration{Duration: m.options.AuthorityLifetime}).
		WithPrivateKey(privateKey(certmanagerv1.RotationPolicyNever)).
		WithIssuerRef(issuerRef(selfSignedIssuer))
}

func (m *certManager) leafSpec() *applyv1.CertificateSpecApplyConfiguration {
	dns, ips := splitNames(m.options.Names)
	spec := applyv1.CertificateSpec().
		WithCommonName(webhookCertificate).
		WithSecretName(LeafSecret).
		WithDuration(metav1.Duration{Duration: m.options.Lifetime}).
		WithDNSNames(dns...).
		WithUsages(certmanagerv1.UsageDigitalSignature, certmanagerv1.UsageServerAuth).
		WithPrivateKey(privateKey(certmanagerv1.RotationPolicyAlways)).
		WithIssuerRef(issuerRef(authorityIssuer))
	for _, ip := range ips {
		spec.WithIPAddresses(ip.String())
	}
	return spec
}

func privateKey(rotation certmanagerv1.PrivateKeyRotationPolicy) *applyv1.CertificatePrivateKeyApplyConfiguration {
	return applyv1.CertificatePrivateKey().WithAlgorithm(certmanagerv1.ECDSAKeyAlgorithm).WithSize(256).WithRotationPolicy(rotation)
}

func issuerRef(name string) *applymeta.IssuerReferenceApplyConfiguration {
	return applymeta.IssuerReference().WithName(name).WithKind(certmanagerv1.IssuerKind).WithGroup(certmanagerv1.SchemeGroupVersion.Group)
}

func (m *certManager) step(ctx context.Context) (step, error) {
	s, err := m.observe(ctx)
	if err != nil {
		return step{}, err
	}
	next := planInjection(s, m.options.Settle)
	return next, m.act(ctx, next)
}

func (m *certManager) observe(ctx context.Context) (injectionState, error) {
	s := injectionState{now: m.now()}
	issuer, err := getSecret(ctx, m.client, m.options.Namespace, IssuerSecret)
	if err != nil {
		return s, err
	}
	if issuer != nil {
		if read := parseBundle(issuer.Data[corev1.TLSCertKey]); len(read) > 0 {
			s.issuer = read[0]
		}
	}
	if m.leaf, err = getSecret(ctx, m.client, m.options.Namespace, LeafSecret); err != nil {
		return s, err
	}
	s.leaf, _ = leafOf(m.leaf)
	if s.asked, err = m.asked(ctx); err != nil {
		return s, err
	}
	if s.configurations, err = m.configurations.observe(ctx); err != nil {
		return s, err
	}
	if s.issuer != nil {
		distrusted := slices.ContainsFunc(s.configurations, func(c configuration) bool { return !c.trusts(s.issuer) })
		m.trusted = since(m.trusted, !distrusted, s.now)
		m.replaced = since(m.replaced, s.ofIssuer(), s.now)
	}
	s.trusted, s.replaced = m.trusted, m.replaced
	return s, nil
}

// since returns when a condition that holds now began to hold; zero while it does not hold.
func since(begun time.Time, holds bool, now time.Time) time.Time {
	switch {
	case !holds:
		return time.Time{}
	case begun.IsZero():
		return now
	}
	return begun
}

// asked reports whether the certificate was requested from cert-manager with the current settings.
func (m *certManager) asked(ctx context.Context) (bool, error) {
	found := &certmanagerv1.Certificate{}
	err := m.client.Get(ctx, client.ObjectKey{Namespace: m.options.Namespace, Name: webhookCertificate}, found)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading Certificate %s/%s: %w", m.options.Namespace, webhookCertificate, err)
	}
	want := m.leafSpec()
	return slices.Equal(found.Spec.DNSNames, want.DNSNames) && slices.Equal(found.Spec.IPAddresses, want.IPAddresses) &&
		found.Spec.SecretName == LeafSecret && found.Spec.Duration != nil && *found.Spec.Duration == *want.Duration &&
		found.Spec.IssuerRef == certmanagermeta.IssuerReference{Name: *want.IssuerRef.Name, Kind: *want.IssuerRef.Kind, Group: *want.IssuerRef.Group}, nil
}

func (m *certManager) act(ctx context.Context, next step) error {
	switch next.deed {
	case idle:
		return nil
	case ask:
		if err := m.client.Apply(ctx, applyv1.Certificate(webhookCertificate, m.options.Namespace).WithSpec(m.leafSpec()), fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("requesting the webhook's certificate from cert-manager: %w", err)
		}
		return nil
	case discard:
		return m.discard(ctx)
	case spread:
		return m.configurations.write(ctx, next.configuration, next.of, "")
	case inject:
		return m.configurations.write(ctx, next.configuration, nil, m.options.Namespace+"/"+webhookCertificate)
	default:
		return next.deed.unknown()
	}
}

// discard empties the observed Secret, unless it changed since. Its type requires the keys.
func (m *certManager) discard(ctx context.Context) error {
	emptied := m.leaf.DeepCopy()
	emptied.Data[corev1.TLSCertKey] = []byte{}
	return writeSecret(ctx, m.client, m.leaf, emptied)
}

// retireCertManager deletes the objects requested from cert-manager, which would otherwise keep writing the
// webhook's Secret. The Secrets stay.
func retireCertManager(ctx context.Context, c client.Client, namespace string) error {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	var errs []error
	for _, object := range []client.Object{
		&certmanagerv1.Certificate{ObjectMeta: named(webhookCertificate)},
		&certmanagerv1.Certificate{ObjectMeta: named(authorityIssuer)},
		&certmanagerv1.Issuer{ObjectMeta: named(authorityIssuer)},
		&certmanagerv1.Issuer{ObjectMeta: named(selfSignedIssuer)},
	} {
		if err := c.Delete(ctx, object); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("deleting the objects requested from cert-manager: %w", err))
		}
	}
	return errors.Join(errs...)
}
