package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"
)

// cainjector brings the CA of the webhook's Secret into the configurations that ask for it by
// annotation. It does so after a certificate of that CA took the place of the one that is served, and
// before cert-manager 1.19 it put the one CA in place of the other. Either way there is a moment in
// which the one is trusted and the other served. So when another CA is to sign, both are brought into
// the bundles here, before, and the annotation is off until what is served was replaced.
const injectAnnotation = "cert-manager.io/inject-ca-from"

// Deeds of the cert-manager mode alone.
const (
	// ask has cert-manager make the webhook's certificate.
	ask deed = "ask"
	// inject leaves the bundles to cainjector.
	inject deed = "inject"
	// discard takes a certificate out of the webhook's Secret. cert-manager keeps one that it finds, whoever
	// signed it, until that is due for renewal.
	discard deed = "discard"
)

// injectionState is all that a plan of the cert-manager mode looks at.
type injectionState struct {
	now time.Time
	// issuer is the CA that cert-manager signs with; nil before it has one.
	issuer *x509.Certificate
	// asked says whether cert-manager knows of the webhook's certificate.
	asked bool
	leaf  *pair
	// trusted is since when every configuration has trusted the issuer, replaced since when what is
	// in the webhook's Secret has been of it; zero while it does not or is not. They are of this
	// process: one that takes over waits once more.
	trusted, replaced time.Time
	configurations    []configuration
}

// planInjection says what to do next where cert-manager makes the certificate. settle is as in policy.
func planInjection(s injectionState, settle time.Duration) step {
	switch {
	case s.issuer == nil:
		return step{deed: idle, reason: "cert-manager has not made the CA yet", until: s.now.Add(lookAgain)}
	case s.overlaps():
		return s.overlap(settle)
	case s.stranger():
		return step{deed: discard, reason: "nobody trusts the certificate that is there, so cert-manager is to make another"}
	case !s.asked:
		return step{deed: ask, reason: "cert-manager does not know of the webhook's certificate, as it is wanted"}
	case !s.ofIssuer():
		return step{deed: idle, reason: "cert-manager has not made the certificate yet", until: s.now.Add(lookAgain)}
	}
	return s.handBack(settle)
}

// overlap has both CAs trusted before what is served is replaced.
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

// handBack leaves the bundles to cainjector once only one CA matters.
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
		return step{deed: inject, configuration: configuration.id, reason: "cert-manager's CA alone matters"}
	}
	return step{deed: idle, reason: "cert-manager keeps up the certificate and the trust in it", until: until}
}

// stranger says whether a certificate is there that another CA signed.
func (s injectionState) stranger() bool {
	return s.leaf != nil && alive(s.leaf.Certificate, s.now) && !s.ofIssuer()
}

// overlaps says whether a certificate is served and trusted that another CA signed.
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

// both is what an entry of a configuration trusts and has not expired, and the issuer.
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

// holds says whether the bundle of every entry is that one.
func (c configuration) holds(want bundle) bool {
	for _, text := range c.bundles {
		if !bytes.Equal(text, want.encode()) {
			return false
		}
	}
	return true
}
