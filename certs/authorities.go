package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// authorities are the CAs of the self-managed mode, as stored in the Secret everynode-webhook-ca. All of them
// are trusted: the bundle never depends on which one signs.
type authorities struct {
	// current signs, next will sign. Either may be nil.
	current, next *pair
	// former ones do not sign any more and have no key.
	former []former
	// trusted is when every configuration began to trust next; zero while one does not.
	trusted time.Time
}

// former is a CA that does not sign any more, and is trusted until its last certificate has expired.
type former struct {
	*x509.Certificate
	until time.Time
}

// The keys of the Secret's data; those of the signing CA are as in a Secret of type kubernetes.io/tls.
const (
	nextCertKey    = "next.crt"
	nextPrivateKey = "next.key"
	nextTrustedKey = "next-trusted-since"
	formerKey      = "former.crt"
	// untilHeader is the header of a block in former.crt.
	untilHeader = "Trusted-Until"
)

func (a authorities) bundle() bundle {
	var b bundle
	for _, signer := range []*pair{a.current, a.next} {
		if signer != nil {
			b = append(b, signer.Certificate)
		}
	}
	for _, former := range a.former {
		b = append(b, former.Certificate)
	}
	return b
}

// keeping adds CAs that stay trusted for as long as a certificate of theirs may be served.
func (a authorities) keeping(more bundle, until time.Time) authorities {
	a.former = slices.Clone(a.former)
	for _, ca := range more {
		a.former = append(a.former, former{ca, earlier(until, ca.NotAfter)})
	}
	return a
}

// promoted makes next the signing CA; current stays trusted until its last certificate has expired.
func (a authorities) promoted(until time.Time) authorities {
	promoted := authorities{current: a.next, former: a.former}
	if a.current != nil {
		promoted = promoted.keeping(bundle{a.current.Certificate}, until)
	}
	return promoted
}

// forgetting removes the former CAs that are not needed any more.
func (a authorities) forgetting(now time.Time) authorities {
	a.former = slices.DeleteFunc(slices.Clone(a.former), func(f former) bool { return !now.Before(f.until) })
	return a
}

// encode returns the data of the Secret.
func (a authorities) encode() (map[string][]byte, error) {
	data := map[string][]byte{}
	put := func(certKey, privateKey string, signer *pair) error {
		if signer == nil {
			return nil
		}
		key, err := signer.keyPEM()
		data[certKey], data[privateKey] = certificatePEM(signer.Certificate, nil), key
		return err
	}
	if err := errors.Join(put(corev1.TLSCertKey, corev1.TLSPrivateKeyKey, a.current), put(nextCertKey, nextPrivateKey, a.next)); err != nil {
		return nil, err
	}
	if !a.trusted.IsZero() {
		data[nextTrustedKey] = []byte(a.trusted.UTC().Format(time.RFC3339Nano))
	}
	var text bytes.Buffer
	for _, former := range a.former {
		text.Write(certificatePEM(former.Certificate, map[string]string{untilHeader: former.until.UTC().Format(time.RFC3339)}))
	}
	if text.Len() > 0 {
		data[formerKey] = text.Bytes()
	}
	return data, nil
}

// decodeAuthorities decodes the data of encode. Parts that cannot be decoded are omitted and reported in the
// error; they are created again, and CAs of served certificates stay trusted.
func decodeAuthorities(data map[string][]byte) (authorities, error) {
	var (
		a    authorities
		errs []error
	)
	get := func(certKey, privateKey string) *pair {
		if len(data[certKey]) == 0 && len(data[privateKey]) == 0 {
			return nil
		}
		read, err := parsePair(data[certKey], data[privateKey])
		if err == nil && !read.IsCA {
			err = errors.New("it is not a CA")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", certKey, err))
			return nil
		}
		return read
	}
	a.current, a.next = get(corev1.TLSCertKey, corev1.TLSPrivateKeyKey), get(nextCertKey, nextPrivateKey)
	if since := data[nextTrustedKey]; len(since) > 0 && a.next != nil {
		var err error
		if a.trusted, err = time.Parse(time.RFC3339Nano, string(since)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", nextTrustedKey, err))
		}
	}
	for block, rest := pem.Decode(data[formerKey]); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", formerKey, err))
			continue
		}
		until, err := time.Parse(time.RFC3339, block.Headers[untilHeader])
		if err != nil {
			until = certificate.NotAfter // no certificate outlives its CA
		}
		a.former = append(a.former, former{certificate, until})
	}
	return a, errors.Join(errs...)
}
