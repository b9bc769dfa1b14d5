package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity of everything the lab signs; a lab lives for hours at most.
const validity = 30 * 24 * time.Hour

// keyPair is a certificate and its private key, PEM-encoded.
type keyPair struct{ cert, key []byte }

// authority is the lab's own CA: for serving certificates, client certificates and the caBundle
// of the webhook.
type authority struct {
	keyPair
	parsed *x509.Certificate
	signer *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "everynode-lab"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("creating the lab's CA: %w", err)
	}
	parsed, err := parse(cert)
	if err != nil {
		return nil, fmt.Errorf("creating the lab's CA: %w", err)
	}
	return &authority{keyPair: keyPair{cert, keyPEM}, parsed: parsed, signer: key}, nil
}

// serving signs a certificate for servers on loopback.
func (a *authority) serving(name string) (keyPair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.ParseIP(loopback), net.ParseIP("10.96.0.1")},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// client signs a certificate for a user in groups.
func (a *authority) client(user string, groups ...string) (keyPair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) issue(template *x509.Certificate) (keyPair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return keyPair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := sign(template, a.parsed, key, a.signer)
	if err != nil {
		return keyPair{}, fmt.Errorf("signing a certificate for %s: %w", template.Subject.CommonName, err)
	}
	return keyPair{cert, keyPEM}, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("creating a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("creating a key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// sign completes and signs a certificate. Its validity begins slightly in the past, to tolerate clock skew.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func parse(certPEM []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certPEM)
	return x509.ParseCertificate(block.Bytes)
}

// pki has all keys of a lab, and their folder.
type pki struct {
	dir   string
	ca    *authority
	admin keyPair
}

// The files of a lab's pki folder.
const (
	caCert         = "ca.crt"
	caKey          = "ca.key"
	servingCert    = "serving.crt"
	servingKey     = "serving.key"
	webhookCert    = "webhook.crt"
	webhookKey     = "webhook.key"
	serviceAccount = "service-account.key"
)

func newPKI(dir string) (*pki, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	admin, err := ca.client("lab-admin", "system:masters")
	if err != nil {
		return nil, err
	}
	serving, err := ca.serving("everynode-lab-control-plane")
	if err != nil {
		return nil, err
	}
	webhook, err := ca.serving("everynode-webhook")
	if err != nil {
		return nil, err
	}
	_, serviceAccountKey, err := newKey()
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, ca: ca, admin: admin}
	return p, p.write(map[string][]byte{
		caCert: ca.cert, caKey: ca.key,
		servingCert: serving.cert, servingKey: serving.key,
		webhookCert: webhook.cert, webhookKey: webhook.key,
		serviceAccount: serviceAccountKey,
	})
}

func (p *pki) write(files map[string][]byte) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("writing the lab's keys: %w", err)
	}
	for name, data := range files {
		if err := os.WriteFile(p.path(name), data, 0o600); err != nil {
			return fmt.Errorf("writing the lab's keys: %w", err)
		}
	}
	return nil
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }
