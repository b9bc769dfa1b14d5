package certs

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// state is the input of a plan of the self-managed mode.
type state struct {
	now         time.Time
	authorities authorities
	// damage describes the parts of the CAs' Secret that could not be decoded.
	damage error
	// leaf is the pair in the webhook's Secret; if there is none, absence is the reason.
	leaf           *pair
	absence        string
	configurations []configuration
}

// configuration is the part of a webhook configuration that concerns trust.
type configuration struct {
	id configurationID
	// bundles are those of its entries, in order.
	bundles [][]byte
	// injected is the value of cert-manager's annotation; if it is set, cainjector writes the bundles.
	injected string
}

// deed is the action of a step. Each is one write.
type deed string

// The deeds, in order of urgency.
const (
	// keep records CAs that are already trusted and signed the served certificate.
	keep deed = "keep"
	// found creates a CA that will sign next.
	found deed = "found"
	// retract records that a configuration does not trust the next CA any more.
	retract deed = "retract"
	// spread makes a configuration trust all the CAs, and no others.
	spread deed = "spread"
	// issue creates the webhook's certificate.
	issue deed = "issue"
	// note records that every configuration trusts the next CA.
	note deed = "note"
	// promote makes the next CA the signing one.
	promote deed = "promote"
	// forget ends the trust in CAs without a served certificate.
	forget deed = "forget"
	// idle waits for a change or a time.
	idle deed = "idle"
)

// unknown is the error of a keeper that does not implement the deed: no planned step is skipped silently.
func (d deed) unknown() error { return fmt.Errorf("the deed %q is unknown", d) }

// step is the next action and its reason.
type step struct {
	deed   deed
	reason string
	// of are the CAs to keep, or to trust.
	of bundle
	// until is how long certificates signed until now may be served or, for idle, when to check again.
	until time.Time
	// configuration is the one to spread trust to.
	configuration configurationID
}

// policy has the operator's settings of the self-managed mode.
type policy struct {
	names               []string
	lifetime, authority time.Duration
	// settle is how long API servers and webhooks may take to notice a write.
	settle time.Duration
}

// plan returns the next step. Every step leaves the webhook trusted, whatever happens after it:
//
//   - A CA signs once every configuration has trusted it for the settle time.
//   - A CA stays trusted until its last certificate has expired, so that a webhook that notices a renewal late,
//     even by weeks, is still trusted.
//   - A bundle is the set of all CAs, so it does not change when another one signs.
//
// So the process may end after any step, and the next one continues from the stored state.
func (p policy) plan(s state) step {
	for _, rule := range []func(state) (step, bool){p.keep, p.found, p.retract, p.spread, p.issue, p.promote, p.forget} {
		if next, due := rule(s); due {
			return next
		}
	}
	return step{deed: idle, reason: "the certificate and its CA are trusted and not due for renewal", until: p.next(s)}
}

// keep: the served and trusted certificate was signed by another CA, for example after a change from
// cert-manager: that CA stays trusted. If no CA is known at all, for example because the Secret was deleted,
// all trusted ones stay: a webhook that is cut off may serve a certificate of a former one.
func (p policy) keep(s state) (step, bool) {
	if !s.served() {
		return step{}, false
	}
	known := s.authorities.bundle()
	lost := s.authorities.current == nil && s.authorities.next == nil
	var unknown bundle
	for _, configuration := range s.configurations {
		for _, text := range configuration.bundles {
			trusted := parseBundle(text)
			signed := trusted.issuersOf(s.leaf.Certificate)
			if lost && len(signed) > 0 {
				signed = trusted
			}
			for _, ca := range signed {
				if !known.has(ca) && !unknown.has(ca) && alive(ca, s.now) {
					unknown = append(unknown, ca)
				}
			}
		}
	}
	return step{
		deed: keep, of: unknown, until: p.lastUse(s),
		reason: "a certificate is served that another CA signed; that CA stays trusted until it expires",
	}, len(unknown) > 0
}

func (p policy) found(s state) (step, bool) {
	current, next := s.authorities.current, s.authorities.next
	reason := ""
	switch {
	case next != nil && alive(next.Certificate, s.now):
	case s.damage != nil:
		reason = fmt.Sprintf("the Secret of the CA is damaged (%v)", s.damage)
	case current == nil:
		reason = "there is no CA"
	case !s.now.Before(p.succession(current)):
		reason = fmt.Sprintf("the CA expires at %s", moment(current.NotAfter))
	}
	return step{deed: found, reason: reason}, reason != ""
}

// succession is when a CA needs a successor: before a certificate would outlive it.
func (p policy) succession(ca *pair) time.Time {
	return earlier(renewal(ca.Certificate), ca.NotAfter.Add(-p.lifetime))
}

func (p policy) retract(s state) (step, bool) {
	next := s.authorities.next
	if next == nil || s.authorities.trusted.IsZero() {
		return step{}, false
	}
	for _, configuration := range s.configurations {
		if !configuration.trusts(next.Certificate) {
			return step{deed: retract, reason: fmt.Sprintf("%s does not trust the next CA any more", configuration.id)}, true
		}
	}
	return step{}, false
}

func (p policy) spread(s state) (step, bool) {
	want := s.authorities.bundle()
	for _, configuration := range s.configurations {
		if configuration.injected != "" || !configuration.holds(want) {
			return step{deed: spread, configuration: configuration.id, of: want, reason: "its CAs differ from the expected ones"}, true
		}
	}
	return step{}, false
}

func (p policy) issue(s state) (step, bool) {
	ca := s.authorities.current
	if ca == nil || !alive(ca.Certificate, s.now) {
		return step{}, false
	}
	reason := ""
	switch {
	case s.leaf == nil:
		reason = s.absence
	case !issued(ca.Certificate, s.leaf.Certificate):
		reason = "another CA signed the certificate"
	case !slices.Equal(namesOf(s.leaf.Certificate), p.sortedNames()):
		reason = fmt.Sprintf("the certificate is for %s", strings.Join(namesOf(s.leaf.Certificate), ", "))
	case s.now.Before(s.leaf.NotBefore):
		reason = fmt.Sprintf("the certificate is not valid before %s", moment(s.leaf.NotBefore))
	case !s.now.Before(renewal(s.leaf.Certificate)):
		reason = fmt.Sprintf("the certificate expires at %s", moment(s.leaf.NotAfter))
	}
	return step{deed: issue, reason: reason}, reason != ""
}

// promote comes after spread, so every configuration trusts the next CA.
func (p policy) promote(s state) (step, bool) {
	next := s.authorities.next
	if next == nil {
		return step{}, false
	}
	promotion := step{deed: promote, until: p.lastUse(s)}
	signs := s.authorities.current != nil && alive(s.authorities.current.Certificate, s.now)
	switch since := s.authorities.trusted; {
	case !signs && !s.trusted():
		promotion.reason = "no served certificate is trusted that this could affect"
	case since.IsZero():
		return step{deed: note, reason: "every configuration trusts the next CA"}, true
	case s.now.Before(since.Add(p.settle)):
		return step{}, false
	default:
		promotion.reason = fmt.Sprintf("every configuration has trusted the next CA since %s", moment(since))
	}
	return promotion, true
}

// lastUse is when the last certificate that may be served now expires, including one that another controller,
// which does not know yet that it lost the lease, creates at this moment.
func (p policy) lastUse(s state) time.Time {
	last := s.now.Add(p.lifetime)
	if s.leaf != nil {
		last = later(last, s.leaf.NotAfter)
	}
	return last
}

func (p policy) forget(s state) (step, bool) {
	over := slices.ContainsFunc(s.authorities.former, func(f former) bool { return !s.now.Before(f.until) })
	return step{deed: forget, reason: "the last certificate of a former CA has expired"}, over
}

// next is when time alone makes another step due.
func (p policy) next(s state) time.Time {
	var times []time.Time
	if ca := s.authorities.current; ca != nil && s.authorities.next == nil {
		times = append(times, p.succession(ca))
	}
	if next := s.authorities.next; next != nil {
		times = append(times, s.authorities.trusted.Add(p.settle), next.NotAfter)
	}
	if s.leaf != nil {
		times = append(times, renewal(s.leaf.Certificate))
	}
	for _, former := range s.authorities.former {
		times = append(times, former.until)
	}
	times = slices.DeleteFunc(times, func(t time.Time) bool { return !t.After(s.now) }) // times in the past wait for something else
	if len(times) == 0 {
		return s.now.Add(lookAgain)
	}
	return slices.MinFunc(times, time.Time.Compare)
}

// served reports whether the webhook's certificate may be in use: it is valid. The current bundles do not
// matter.
func (s state) served() bool { return s.leaf != nil && alive(s.leaf.Certificate, s.now) }

// trusted reports whether the certificate in use is trusted, or will be when trust is spread.
func (s state) trusted() bool {
	return s.served() && len(s.authorities.bundle().issuersOf(s.leaf.Certificate)) > 0
}

func (p policy) sortedNames() []string { return slices.Sorted(slices.Values(p.names)) }

// trusts reports whether every entry of a configuration trusts a CA.
func (c configuration) trusts(ca *x509.Certificate) bool {
	return !slices.ContainsFunc(c.bundles, func(text []byte) bool { return !parseBundle(text).has(ca) })
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
