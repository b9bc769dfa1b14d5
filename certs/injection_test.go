package certs

import (
	"strings"
	"testing"
	"time"
)

func TestPlanInjection(t *testing.T) {
	issuer, other := makeCA(t, begin), makeCA(t, begin.Add(-day))
	renewed := &pair{mustRenew(t, issuer), issuer.key}
	ours, theirs := makeLeaf(t, issuer, begin), makeLeaf(t, other, begin)
	injected := func(cas ...*pair) configuration {
		c := trusting(cas...)
		c.injected = "system/everynode-webhook"
		return c
	}
	all := func(c ...configuration) []configuration { return c }

	tests := map[string]struct {
		state      injectionState
		want       deed
		wantReason string
		wantOf     []*pair   // of spread
		wantUntil  time.Time // of idle; zero for no time
	}{
		"no CA yet":     {state: injectionState{configurations: all(trusting())}, want: idle, wantReason: "not created the CA"},
		"the CA exists": {state: injectionState{issuer: issuer.Certificate, configurations: all(trusting())}, want: ask, wantReason: "has not been requested"},
		"asked":         {state: injectionState{issuer: issuer.Certificate, asked: true, configurations: all(trusting())}, want: idle, wantReason: "not created the certificate"},
		"the first certificate": {
			state: injectionState{issuer: issuer.Certificate, asked: true, leaf: ours, replaced: begin, configurations: all(trusting())}, want: inject},
		"nothing to do": {
			state: injectionState{issuer: issuer.Certificate, asked: true, leaf: ours, replaced: begin, configurations: all(injected(issuer))}, want: idle, wantReason: "maintains"},
		"the CA was renewed with its key": {
			state: injectionState{issuer: renewed.Certificate, asked: true, leaf: ours, replaced: begin, configurations: all(injected(issuer))}, want: idle, wantReason: "maintains"},
		"other names are wanted": {
			state: injectionState{issuer: issuer.Certificate, leaf: ours, replaced: begin, configurations: all(injected(issuer))}, want: ask},
		"another CA's certificate, untrusted": {
			state: injectionState{issuer: issuer.Certificate, leaf: theirs, configurations: all(trusting())}, want: discard},
		"another CA's certificate, untrusted, kept by cert-manager": {
			state: injectionState{issuer: issuer.Certificate, asked: true, leaf: theirs, configurations: all(trusting())}, want: discard},
		"another CA's certificate, expired": {
			state: injectionState{now: begin.Add(1000 * day), issuer: issuer.Certificate, leaf: theirs, configurations: all(trusting())}, want: ask},
		"from another mode: trust comes first": {
			state: injectionState{issuer: issuer.Certificate, leaf: theirs, configurations: all(trusting(other))},
			want:  spread, wantOf: []*pair{issuer, other}},
		"from another mode: it is trusted as of now": {
			state: injectionState{issuer: issuer.Certificate, leaf: theirs, trusted: begin, configurations: all(trusting(issuer, other))},
			want:  idle, wantUntil: begin.Add(time.Minute)},
		"from another mode: it has been trusted": {
			state: injectionState{now: begin.Add(time.Minute), issuer: issuer.Certificate, leaf: theirs, trusted: begin, configurations: all(trusting(issuer, other))},
			want:  ask, wantReason: "has been trusted"},
		"from another mode: cert-manager is slow": {
			state: injectionState{issuer: issuer.Certificate, asked: true, leaf: theirs, trusted: begin, configurations: all(trusting(issuer, other))},
			want:  idle, wantReason: "both CAs are trusted"},
		"replaced a moment ago": {
			state: injectionState{issuer: issuer.Certificate, asked: true, leaf: ours, trusted: begin, replaced: begin, configurations: all(trusting(issuer, other))},
			want:  idle, wantUntil: begin.Add(time.Minute)},
		"replaced long enough ago": {
			state: injectionState{now: begin.Add(time.Minute), issuer: issuer.Certificate, asked: true, leaf: ours, trusted: begin, replaced: begin, configurations: all(trusting(issuer, other))},
			want:  inject},
		"the CA got another key": {
			state: injectionState{issuer: issuer.Certificate, asked: true, leaf: theirs, configurations: all(injected(other))},
			want:  spread, wantOf: []*pair{issuer, other}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.state.now.IsZero() {
				test.state.now = begin
			}
			got := planInjection(test.state, time.Minute)
			if got.deed != test.want || !strings.Contains(got.reason, test.wantReason) {
				t.Errorf("planned %s because %q, want %s because %q", got.deed, got.reason, test.want, test.wantReason)
			}
			if !test.wantUntil.IsZero() && !got.until.Equal(test.wantUntil) {
				t.Errorf("idle until %s, want %s", got.until, test.wantUntil)
			}
			var want bundle
			for _, ca := range test.wantOf {
				want = append(want, ca.Certificate)
			}
			if string(want.encode()) != string(got.of.encode()) {
				t.Errorf("has\n%s trusted, want\n%s", got.of.encode(), want.encode())
			}
		})
	}
}
