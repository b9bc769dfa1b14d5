package certs

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// state is all that a plan of the self-managed mode looks at.
type state struct {
	now         time.Time
	authorities authorities
	// damage is what could not be read of the CAs' Secret.
	damage error
	// leaf is what the webhook's Secret holds; when it holds none, absence says why.
	leaf           *pair
	absence        string
	configurations []configuration
}

// configuration is a webhook configuration as far as trust is concerned.
type configuration struct {
	id configurationID
	// bundles are those of its entries, in their order.
	bundles [][]byte
	// injected is the value of cert-manager's annotation; cainjector writes the bundles when there
	// is one.
	injected string
}

// deed is what a step does. Each is one write.
type deed string

// The deeds, in the order of their urgency.
const (
	// keep notes CAs that are trusted already and signed what is served.
	keep deed = "keep"
	// found makes a CA that is to sign next.
	found deed = "found"
	// retract notes that a configuration does not trust the next CA any more.
	retract deed = "retract"
	// spread has a configuration trust all the CAs, and no other.
	spread deed = "spread"
	// issue makes the webhook's certificate.
	issue deed = "issue"
	// note notes that every configuration trusts the next CA.
	note deed = "note"
	// promote has the next CA sign.
	promote deed = "promote"
	// forget ends the trust in CAs of which nothing is served any more.
	forget deed = "forget"
	// idle does nothing until something changes or it is time.
	idle deed = "idle"
)

// step is what to do next and why.
type step struct {
	deed   deed
	reason string
	// of says which CAs to keep, or to trust.
	of bundle
	// until is how long what signed until now may be served, or for idle, when to look again.
	until time.Time
	// configuration is the one to spread trust to.
	configuration configurationID
}

// policy is what an operator decides of the self-managed mode.
type policy struct {
	names               []string
	lifetime, authority time.Duration
	// settle is how long API servers and webhooks may take to notice what was written.
	settle time.Duration
}

// plan says what to do next. Every step leaves the webhook trusted, whatever happens after it:
//
//   - A CA signs once every configuration has trusted it for the settle time.
//   - A CA stays trusted until the last certificate of it has expired, so that one that is late to
//     notice a renewal, be it for weeks, is trusted still.
//   - What is in a bundle is the set of all CAs, so it does not change when another one signs.
//
// So it may end after any step, and whoever comes next goes on from what is stored.
func (p policy) plan(s state) step {
	for _, rule := range []func(state) (step, bool){p.keep, p.found, p.retract, p.spread, p.issue, p.promote, p.forget} {
		if next, due := rule(s); due {
			return next
		}
	}
	return step{deed: idle, reason: "the certificate and its CA are trusted and fresh", until: p.next(s)}
}

// keep: what is served and trusted was signed by a CA that is not ours, as after a change from
// cert-manager: it stays trusted. When no CA is known at all, as when the Secret was deleted, so do all
// that are trusted: a webhook that is cut off may serve what a former one signed.
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

// succession is when a CA is due to have a successor: before a certificate would outlive it.
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
			return step{deed: spread, configuration: configuration.id, of: want, reason: "it trusts other CAs than it should"}, true
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
		promotion.reason = "nothing is served and trusted that could be lost"
	case since.IsZero():
		return step{deed: note, reason: "every configuration trusts the next CA"}, true
	case s.now.Before(since.Add(p.settle)):
		return step{}, false
	default:
		promotion.reason = fmt.Sprintf("every configuration has trusted the next CA since %s", moment(since))
	}
	return promotion, true
}

// lastUse is when the last certificate expires that may be served now, be it one that another
// controller, which does not know yet that it leads no more, makes this moment.
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
	times = slices.DeleteFunc(times, func(t time.Time) bool { return !t.After(s.now) }) // it waits for something else
	if len(times) == 0 {
		return s.now.Add(lookAgain)
	}
	return slices.MinFunc(times, time.Time.Compare)
}

// served says whether what the webhook has may be in use: it is valid. Whether it is trusted, by
// this moment's bundles, is not asked.
func (s state) served() bool { return s.leaf != nil && alive(s.leaf.Certificate, s.now) }

// trusted says whether what may be in use is trusted, or will be when trust is spread.
func (s state) trusted() bool {
	return s.served() && len(s.authorities.bundle().issuersOf(s.leaf.Certificate)) > 0
}

func (p policy) sortedNames() []string { return slices.Sorted(slices.Values(p.names)) }

// trusts says whether every entry of a configuration trusts a CA.
func (c configuration) trusts(ca *x509.Certificate) bool {
	return !slices.ContainsFunc(c.bundles, func(text []byte) bool { return !parseBundle(text).has(ca) })
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
