package controller

import (
	"strings"
	"testing"
)

// The messages are those of a real API server; test/certs provokes them.
func TestWhatIsWrongWithACertificateIsSaidFirst(t *testing.T) {
	const failed = `Internal error occurred: failed calling webhook "owned.placement.everynode.dev": failed to call webhook: Post "https://127.0.0.1:1/mutate-pods?timeout=3s": `
	tests := map[string]struct{ message, want string }{
		"expired":       {"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-24T19:53:57Z is after 2026-11-24T19:00:00Z", "its certificate has expired"},
		"another CA":    {"tls: failed to verify certificate: x509: certificate signed by unknown authority", "signed by another CA"},
		"another name":  {"tls: failed to verify certificate: x509: certificate is valid for a.example.com, not everynode-webhook.everynode-system.svc", "for another name"},
		"none":          {"remote error: tls: internal error", "it has no certificate"},
		"none is ready": {`no endpoints available for service "everynode-webhook"`, "no everynode-webhook is ready"},
		"down":          {"dial tcp 127.0.0.1:1: connect: connection refused", "everynode-webhook does not answer"},
		"slow":          {"context deadline exceeded", "everynode-webhook does not answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := unanswering(failed + test.message)
			if !strings.Contains(got, test.want) || !strings.HasSuffix(got, test.message) {
				t.Errorf("said %q, want it to begin with %q and to end with the API server's words", got, test.want)
			}
			first, _, _ := strings.Cut(got, failed)
			if !strings.Contains(first, test.want) {
				t.Errorf("said %q, want %q before the API server's words", got, test.want)
			}
		})
	}
}
