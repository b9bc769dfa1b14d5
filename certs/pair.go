package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// pair is a certificate and its private key.
type pair struct {
	*x509.Certificate
	key crypto.Signer
}

// The types of PEM blocks.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "EC PRIVATE KEY"
)

// maxBackdate is how far in the past the validity of a certificate begins, for clocks that run behind.
const maxBackdate = time.Hour

// backdate is short if the lifetime is.
func backdate(lifetime time.Duration) time.Duration { return min(maxBackdate, lifetime/10) }

// newAuthority creates a CA.
func newAuthority(now time.Time, lifetime time.Duration) (*pair, error) {
	return sign(&x509.Certificate{
		// The time distinguishes CAs for readers of a bundle.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("everynode-webhook-ca@%d", now.Unix())},
		NotBefore:             now.Add(-backdate(lifetime)),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, nil)
}

// newLeaf creates a server certificate for DNS names and IP addresses. It never outlives its CA.
func newLeaf(ca *pair, now time.Time, lifetime time.Duration, names []string) (*pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "everynode-webhook"},
		NotBefore:             now.Add(-backdate(lifetime)),
		NotAfter:              earlier(now.Add(lifetime), ca.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	template.DNSNames, template.IPAddresses = splitNames(names)
	return sign(template, ca)
}

// sign creates a key and a certificate from a template, signed by ca, or self-signed if ca is nil.
func sign(template *x509.Certificate, ca *pair) (*pair, error) {
	fail := func(err error) (*pair, error) {
		return nil, fmt.Errorf("creating a certificate for %s: %w", template.Subject.CommonName, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fail(err)
	}
	parent, signer := template, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.Certificate, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fail(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	return &pair{certificate, key}, nil
}

// parsePair parses a certificate and its matching key. Of a chain it uses the first certificate.
func parsePair(certPEM, keyPEM []byte) (*pair, error) {
	read, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := read.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("its key cannot sign")
	}
	return &pair{read.Leaf, key}, nil
}

func (p *pair) keyPEM() ([]byte, error) {
	key, ok := p.key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key of %s is a %T, want one that everynode-controller created", p.Subject.CommonName, p.key)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of %s: %w", p.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// issued reports whether a CA signed a certificate.
func issued(ca, leaf *x509.Certificate) bool { return leaf.CheckSignatureFrom(ca) == nil }

// alive reports whether a certificate is valid at a time.
func alive(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && now.Before(c.NotAfter)
}

// renewal is when a certificate is due for renewal: after two thirds of its lifetime.
func renewal(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// splitNames separates DNS names and IP addresses.
func splitNames(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}

// namesOf returns the names that splitNames splits, sorted.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return names
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
