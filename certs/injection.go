package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"
)

// cainjector copies the CA of the webhook's Secret into annotated configurations. It does so after a
// certificate of that CA has replaced the served one, and before cert-manager 1.19 it replaced the old CA.
// Either way there is a moment in which one CA is trusted and a certificate of the other is served. So when
// another CA starts to sign, both are put into the bundles here first, and the annotation is removed until the
// served certificate has been replaced.
const injectAnnotation = "cert-manager.io/inject-ca-from"

// Deeds that only the cert-manager mode has.
const (
	// ask requests the webhook's certificate from cert-manager.
	ask deed = "ask"
	// inject lets cainjector maintain the bundles.
	inject deed = "inject"
	// discard removes a certificate from the webhook's Secret. cert-manager keeps any certificate that it
	// finds, whichever CA signed it, until its renewal is due.
	discard deed = "discard"
)

// injectionState is the input of a plan of the cert-manager mode.
type injectionState struct {
	now time.Time
	// issuer is the CA that cert-manager signs with; nil if it has none yet.
	issuer *x509.Certificate
	// asked is whether the webhook's certificate was requested from cert-manager.
	asked bool
	leaf  *pair
	// trusted is when every configuration began to trust the issuer, replaced when the webhook's Secret began
	// to hold a certificate of it; zero while it does not. They are known to this process only: a new leader
	// waits again.
	trusted, replaced time.Time
	configurations    []configuration
}

// planInjection returns the next step of the cert-manager mode. settle is as in policy.
func planInjection(s injectionState, settle time.Duration) step {
	switch {
	case s.issuer == nil:
		return step{deed: idle, reason: "cert-manager has not created the CA yet", until: s.now.Add(lookAgain)}
	case s.overlaps():
		return s.overlap(settle)
	case s.stranger():
		return step{deed: discard, reason: "the existing certificate is not trusted, so cert-manager has to create another one"}
	case !s.asked:
		return step{deed: ask, reason: "the webhook's certificate has not been requested from cert-manager with the current settings"}
	case !s.ofIssuer():
		return step{deed: idle, reason: "cert-manager has not created the certificate yet", until: s.now.Add(lookAgain)}
	}
	return s.handBack(settle)
}

// overlap makes both CAs trusted before the served certificate is replaced.
func (s injectionState) overlap(settle time.Duration) step {
	for _, configuration := range s.configurations {
		if want := s.both(configuration); configuration.injected != "" || !configuration.holds(want) {
			return step{deed: spread, configuration: configuration.id, of: want,
				reason: "a certificate is served that another CA signed; both are trusted until cert-manager has replaced it"}
		}
	}
	resting := step{deed: idle, reason: "both CAs are trusted", until: s.now.Add(lookAgain)}
	if s.asked {
		return resting
	}
	if ready := s.trusted.Add(settle); s.trusted.IsZero() || s.now.Before(ready) {
		resting.until = later(ready, s.now.Add(time.Second))
		return resting
	}
	return step{deed: ask, reason: fmt.Sprintf("cert-manager's CA has been trusted since %s", moment(s.trusted))}
}

// handBack returns the bundles to cainjector once only one CA is needed.
func (s injectionState) handBack(settle time.Duration) step {
	until := s.now.Add(lookAgain)
	for _, configuration := range s.configurations {
		if configuration.injected != "" {
			continue
		}
		others := len(s.both(configuration)) > 1
		ready := s.replaced.Add(settle)
		if others && configuration.trusts(s.issuer) && s.now.Before(ready) {
			until = earlier(until, ready)
			continue
		}
		return step{deed: inject, configuration: configuration.id, reason: "only cert-manager's CA is needed"}
	}
	return step{deed: idle, reason: "cert-manager maintains the certificate and caBundle", until: until}
}

// stranger reports whether the certificate was signed by another CA.
func (s injectionState) stranger() bool {
	return s.leaf != nil && alive(s.leaf.Certificate, s.now) && !s.ofIssuer()
}

// overlaps reports whether a certificate of another CA is served and trusted.
func (s injectionState) overlaps() bool {
	if !s.stranger() {
		return false
	}
	for _, configuration := range s.configurations {
		for _, text := range configuration.bundles {
			if len(parseBundle(text).issuersOf(s.leaf.Certificate)) > 0 {
				return true
			}
		}
	}
	return false
}

func (s injectionState) ofIssuer() bool { return s.leaf != nil && issued(s.issuer, s.leaf.Certificate) }

// both returns the unexpired CAs that an entry of a configuration trusts, and the issuer.
func (s injectionState) both(c configuration) bundle {
	all := bundle{s.issuer}
	for _, text := range c.bundles {
		for _, ca := range parseBundle(text) {
			if alive(ca, s.now) && !all.has(ca) {
				all = append(all, ca)
			}
		}
	}
	return all
}

// holds reports whether the bundle of every entry is want.
func (c configuration) holds(want bundle) bool {
	for _, text := range c.bundles {
		if !bytes.Equal(text, want.encode()) {
			return false
		}
	}
	return true
}
