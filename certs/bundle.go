package certs

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"slices"
)

// bundle is a set of trusted CAs.
type bundle []*x509.Certificate

// parseBundle parses the certificates in a PEM text, and ignores invalid ones.
func parseBundle(text []byte) bundle {
	var b bundle
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateBlock {
			continue
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			b = append(b, certificate)
		}
	}
	return b
}

// encode returns the same text for a set, whatever the order of its CAs.
func (b bundle) encode() []byte {
	sorted := slices.SortedFunc(slices.Values(b), func(x, y *x509.Certificate) int {
		return cmp.Or(x.NotBefore.Compare(y.NotBefore), bytes.Compare(x.Raw, y.Raw))
	})
	var text bytes.Buffer
	for i, certificate := range sorted {
		if i == 0 || !certificate.Equal(sorted[i-1]) {
			text.Write(certificatePEM(certificate, nil))
		}
	}
	return text.Bytes()
}

func (b bundle) has(certificate *x509.Certificate) bool {
	return slices.ContainsFunc(b, certificate.Equal)
}

// issuersOf returns the CAs that signed a certificate: two, if a CA was renewed with its key.
func (b bundle) issuersOf(leaf *x509.Certificate) bundle {
	return slices.DeleteFunc(slices.Clone(b), func(ca *x509.Certificate) bool { return !issued(ca, leaf) })
}

func certificatePEM(certificate *x509.Certificate, headers map[string]string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Headers: headers, Bytes: certificate.Raw})
}
