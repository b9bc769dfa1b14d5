package certs

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"
)

// mustRenew returns a new certificate of a CA for the same key and name, as cert-manager creates it.
func mustRenew(t testing.TB, ca *pair) *x509.Certificate {
	t.Helper()
	template := *ca.Certificate
	template.SerialNumber, template.NotAfter = big.NewInt(7), ca.NotAfter.Add(day)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, ca.key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return renewed
}

func TestLeaf(t *testing.T) {
	ca := makeCA(t, begin)
	leaf := makeLeaf(t, ca, begin)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	for _, name := range testPolicy.names {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: begin, DNSName: name}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	if want := testPolicy.sortedNames(); !slices.Equal(namesOf(leaf.Certificate), want) {
		t.Errorf("names %v, want %v", namesOf(leaf.Certificate), want)
	}
	if leaf.IsCA || !ca.IsCA || !ca.MaxPathLenZero {
		t.Errorf("CA: the leaf %v, its CA %v (of leaves only: %v), want false, true (true)", leaf.IsCA, ca.IsCA, ca.MaxPathLenZero)
	}
	if !alive(leaf.Certificate, begin.Add(-30*time.Minute)) {
		t.Error("a client whose clock is half an hour behind rejects it")
	}
	last := makeLeaf(t, ca, ca.NotAfter.Add(-day))
	if last.NotAfter.After(ca.NotAfter) {
		t.Errorf("a leaf until %s outlives its CA, until %s", last.NotAfter, ca.NotAfter)
	}
}

// A renewed CA that keeps its key is trusted for what it signed before the renewal, and vice versa.
func TestRenewedAuthorityIsTheSame(t *testing.T) {
	ca := makeCA(t, begin)
	leaf := makeLeaf(t, ca, begin)
	renewed := mustRenew(t, ca)
	if !issued(renewed, leaf.Certificate) || !issued(ca.Certificate, leaf.Certificate) {
		t.Error("the leaf does not verify with both")
	}
	if got := (bundle{renewed, ca.Certificate}).issuersOf(leaf.Certificate); len(got) != 2 {
		t.Errorf("%d issuers, want both", len(got))
	}
}

func TestModes(t *testing.T) {
	if _, err := ParseMode("magic"); err == nil {
		t.Error("the mode magic is accepted, want an error")
	}
	tests := map[string]struct {
		mode   Mode
		served bool
		want   Mode
	}{
		"auto, served":         {ModeAuto, true, ModeCertManager},
		"auto, not served":     {ModeAuto, false, ModeSelfManaged},
		"self-managed, served": {ModeSelfManaged, true, ModeSelfManaged},
		"cert-manager, not":    {ModeCertManager, false, ModeCertManager},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, why := test.mode.decide(test.served); got != test.want || why == "" {
				t.Errorf("%s because %q, want %s", got, why, test.want)
			}
		})
	}
}

func TestOptionsAreRefused(t *testing.T) {
	good := Options{Mode: ModeAuto, Namespace: "n", Names: []string{"a"}, Lifetime: time.Hour, AuthorityLifetime: 3 * time.Hour}
	if err := good.Validate(); err != nil {
		t.Errorf("Validate: %v, want no error", err)
	}
	tests := map[string]func(*Options){
		"no name":      func(o *Options) { o.Names = nil },
		"no namespace": func(o *Options) { o.Namespace = "" },
		"short-lived":  func(o *Options) { o.Lifetime = time.Second },
		"short CA":     func(o *Options) { o.AuthorityLifetime = 2 * time.Hour },
		"backwards":    func(o *Options) { o.Settle = -time.Second },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			options := good
			change(&options)
			if err := options.Validate(); err == nil {
				t.Error("Validate: no error, want one")
			}
		})
	}
}
