package certs

import "testing"

// A deed that a keeper does not implement is an error: no planned step is skipped silently.
func TestUnknownDeedIsAnError(t *testing.T) {
	for name, act := range map[string]func(step) error{
		"self-managed": func(next step) error { return (&selfManaged{}).act(t.Context(), state{}, next) },
		"cert-manager": func(next step) error { return (&certManager{}).act(t.Context(), next) },
	} {
		for deed, known := range map[deed]bool{idle: true, "": false, "renew": false} {
			if err := act(step{deed: deed}); known != (err == nil) {
				t.Errorf("%s, deed %q: %v", name, deed, err)
			}
		}
	}
}
