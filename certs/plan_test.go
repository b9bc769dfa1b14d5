package certs

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var (
	// begin is the time at which the tests of the rules start.
	begin      = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	testPolicy = policy{names: []string{"webhook.test", "127.0.0.1"}, lifetime: 90 * day, authority: 365 * day, settle: time.Minute}
	testHook   = configurationID{name: "placement"}
)

const day = 24 * time.Hour

func makeCA(t testing.TB, now time.Time) *pair {
	t.Helper()
	ca, err := newAuthority(now, testPolicy.authority)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func makeLeaf(t testing.TB, ca *pair, now time.Time, names ...string) *pair {
	t.Helper()
	if names == nil {
		names = testPolicy.names
	}
	leaf, err := newLeaf(ca, now, testPolicy.lifetime, names)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// trusting returns a configuration of two entries that trust these CAs.
func trusting(cas ...*pair) configuration {
	var b bundle
	for _, ca := range cas {
		b = append(b, ca.Certificate)
	}
	return configuration{id: testHook, bundles: [][]byte{b.encode(), b.encode()}}
}

func TestPlan(t *testing.T) {
	old, ca, next := makeCA(t, begin.Add(-200*day)), makeCA(t, begin), makeCA(t, begin.Add(time.Second))
	leaf := makeLeaf(t, ca, begin)
	was := func(ca *pair, until time.Time) []former { return []former{{ca.Certificate, until}} }
	all := func(c ...configuration) []configuration { return c }

	tests := map[string]struct {
		state      state
		want       deed
		wantReason string
		wantUntil  time.Time // of idle
	}{
		"nothing there": {state{absence: "none", configurations: all(trusting())}, found, "there is no CA", time.Time{}},
		"the first CA is not trusted yet": {
			state{authorities: authorities{next: ca}, absence: "none", configurations: all(trusting())}, spread, "its CAs differ", time.Time{}},
		"the first CA signs at once": {
			state{authorities: authorities{next: ca}, absence: "none", configurations: all(trusting(ca))}, promote, "no served certificate", time.Time{}},
		"the first certificate": {
			state{authorities: authorities{current: ca}, absence: "none", configurations: all(trusting(ca))}, issue, "none", time.Time{}},
		"no configuration to trust it yet": {
			state{authorities: authorities{current: ca}, absence: "none"}, issue, "none", time.Time{}},
		"nothing to do": {
			state{authorities: authorities{current: ca}, leaf: leaf, configurations: all(trusting(ca))}, idle, "", renewal(leaf.Certificate)},
		"one entry of a configuration trusts no CA": {
			state{authorities: authorities{current: ca}, leaf: leaf, configurations: all(configuration{id: testHook, bundles: [][]byte{bundle{ca.Certificate}.encode(), nil}})},
			spread, "its CAs differ", time.Time{}},
		"an unknown CA is trusted": {
			state{authorities: authorities{current: ca}, leaf: leaf, configurations: all(trusting(ca, old))}, spread, "its CAs differ", time.Time{}},
		"cainjector would write the bundle": {
			state{authorities: authorities{current: ca}, leaf: leaf, configurations: all(configuration{id: testHook, bundles: trusting(ca).bundles, injected: "a/b"})},
			spread, "", time.Time{}},

		"two thirds of the certificate's lifetime have passed": {
			state{now: renewal(leaf.Certificate), authorities: authorities{current: ca}, leaf: leaf, configurations: all(trusting(ca))},
			issue, "expires at", time.Time{}},
		"the certificate is for other names": {
			state{authorities: authorities{current: ca}, leaf: makeLeaf(t, ca, begin, "elsewhere"), configurations: all(trusting(ca))},
			issue, "elsewhere", time.Time{}},
		"the certificate is not valid until tomorrow": {
			state{authorities: authorities{current: ca}, leaf: makeLeaf(t, ca, begin.Add(day)), configurations: all(trusting(ca))},
			issue, "not valid before", time.Time{}},
		"another CA's certificate, untrusted": {
			state{authorities: authorities{current: ca}, leaf: makeLeaf(t, old, begin), configurations: all(trusting(ca))},
			issue, "another CA", time.Time{}},
		"another CA's certificate, trusted": {
			state{authorities: authorities{current: ca}, leaf: makeLeaf(t, old, begin), configurations: all(trusting(old))},
			keep, "another CA", time.Time{}},
		"another CA's certificate, trusted and known": {
			state{authorities: authorities{current: ca, former: was(old, begin.Add(day))}, leaf: makeLeaf(t, old, begin), configurations: all(trusting(ca, old))},
			issue, "another CA", time.Time{}},

		"two thirds of the CA's lifetime have passed": {
			state{now: renewal(ca.Certificate), authorities: authorities{current: ca}, leaf: makeLeaf(t, ca, renewal(ca.Certificate)), configurations: all(trusting(ca))},
			found, "the CA expires at", time.Time{}},
		"the CA would not outlive a certificate": {
			state{now: ca.NotAfter.Add(-90 * day), authorities: authorities{current: ca}, leaf: leaf, configurations: all(trusting(ca))},
			found, "the CA expires at", time.Time{}},
		"the next CA is not trusted yet": {
			state{authorities: authorities{current: ca, next: next}, leaf: leaf, configurations: all(trusting(ca))}, spread, "", time.Time{}},
		"the next CA is trusted": {
			state{authorities: authorities{current: ca, next: next}, leaf: leaf, configurations: all(trusting(ca, next))}, note, "every configuration", time.Time{}},
		"the next CA was trusted a moment ago": {
			state{now: begin.Add(59 * time.Second), authorities: authorities{current: ca, next: next, trusted: begin}, leaf: leaf, configurations: all(trusting(ca, next))},
			idle, "", begin.Add(time.Minute)},
		"the next CA has been trusted long enough": {
			state{now: begin.Add(time.Minute), authorities: authorities{current: ca, next: next, trusted: begin}, leaf: leaf, configurations: all(trusting(ca, next))},
			promote, "has trusted the next CA since", time.Time{}},
		"the next CA was trusted, and one configuration stopped trusting it": {
			state{now: begin.Add(time.Minute), authorities: authorities{current: ca, next: next, trusted: begin}, leaf: leaf, configurations: all(trusting(ca, next), trusting(ca))},
			retract, "does not trust", time.Time{}},
		"a certificate is missing while the next CA waits": {
			state{authorities: authorities{current: ca, next: next, trusted: begin}, absence: "none", configurations: all(trusting(ca, next))}, issue, "none", time.Time{}},
		"the next CA signs now": {
			state{authorities: authorities{current: next, former: was(ca, begin.Add(90*day))}, leaf: leaf, configurations: all(trusting(ca, next))},
			issue, "another CA", time.Time{}},
		"after that both stay trusted": {
			state{authorities: authorities{current: next, former: was(ca, begin.Add(90*day))}, leaf: makeLeaf(t, next, begin), configurations: all(trusting(ca, next))},
			idle, "", renewal(leaf.Certificate).Truncate(time.Second)},
		"the last certificate of the former CA has expired": {
			state{now: begin.Add(2 * day), authorities: authorities{current: next, former: was(ca, begin.Add(2*day))}, leaf: makeLeaf(t, next, begin), configurations: all(trusting(ca, next))},
			forget, "former CA", time.Time{}},
		"everything expired long ago": {
			state{now: begin.Add(500 * day), authorities: authorities{current: ca}, leaf: leaf, configurations: all(trusting(ca))}, found, "the CA expires", time.Time{}},
		"everything expired long ago, and the next CA is trusted": {
			state{now: begin.Add(500 * day), authorities: authorities{current: ca, next: makeCA(t, begin.Add(500*day))}, leaf: leaf}, promote, "no served certificate", time.Time{}},

		"the CA's Secret was deleted": {
			state{leaf: leaf, configurations: all(trusting(ca))}, keep, "another CA", time.Time{}},
		"the CA's Secret was deleted, its CA is recorded": {
			state{authorities: authorities{former: was(ca, leaf.NotAfter)}, leaf: leaf, configurations: all(trusting(ca))}, found, "there is no CA", time.Time{}},
		"a new CA waits until the served certificate is trusted": {
			state{authorities: authorities{next: next, former: was(ca, leaf.NotAfter)}, leaf: leaf, configurations: all(trusting(ca, next))}, note, "", time.Time{}},
		"the CA's Secret is damaged": {
			state{damage: errors.New("no PEM"), leaf: leaf}, found, "damaged (no PEM)", time.Time{}},
		"both Secrets were deleted": {
			state{absence: "none", configurations: all(trusting(ca))}, found, "there is no CA", time.Time{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.state.now.IsZero() {
				test.state.now = begin
			}
			got := testPolicy.plan(test.state)
			if got.deed != test.want || !strings.Contains(got.reason, test.wantReason) {
				t.Errorf("planned %s because %q, want %s because %q", got.deed, got.reason, test.want, test.wantReason)
			}
			if got.deed == idle && !got.until.Equal(test.wantUntil) {
				t.Errorf("idle until %s, want %s", got.until, test.wantUntil)
			}
		})
	}
}

// An expired successor never signs.
func TestPlanReplacesASuccessorThatExpired(t *testing.T) {
	now := begin.Add(300 * day)
	ca := makeCA(t, begin)
	s := state{now: now, authorities: authorities{current: ca, next: makeCA(t, begin.Add(-100*day))}, leaf: makeLeaf(t, ca, now), configurations: nil}
	if got := testPolicy.plan(s); got.deed != found {
		t.Errorf("planned %s because %q, want %s", got.deed, got.reason, found)
	}
}
