package cluster

import (
	"fmt"
	"strings"
	"testing"

	baseversion "k8s.io/component-base/version"
)

func TestUntested(t *testing.T) {
	tests := map[string]struct {
		version, emulated string
		want              string // in the message; "" means none
	}{
		"the oldest":                  {"v1.35.0", "", ""},
		"between":                     {"v1.36.3", "", ""},
		"the newest":                  {"v1.37.2", "", ""},
		"a vendor's":                  {"v1.36.3-vendor.7+4f8b2c1", "", ""},
		"a candidate":                 {"v1.37.0-rc.1", "", ""},
		"before the oldest":           {"v1.34.9", "", "the API server is v1.34.9, older than the tested versions: this Everynode is tested on Kubernetes 1.35 to 1.37"},
		"after the newest":            {"v1.38.0-alpha.2", "", "the API server is v1.38.0-alpha.2, newer than the tested versions: this Everynode is tested on Kubernetes 1.35 to 1.37"},
		"another major version":       {"v2.36.0", "", "newer than the tested versions"},
		"before Kubernetes was 1":     {"v0.36.0", "", "older than the tested versions"},
		"newer, emulating an old one": {"v1.38.1", "1.36", ""},
		"emulating the release before the oldest": {"v1.37.2", "1.34", "the API server is v1.37.2 as 1.34, older than the tested versions"},
		"no version": {"latest", "", `version is "latest", which names no release of Kubernetes`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Server{Version: test.version, Emulated: test.emulated}.Untested()
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("Untested of %s = %q, want %q", test.version, got, test.want)
			}
		})
	}
}

func TestNoPolicy(t *testing.T) {
	tests := map[string]struct {
		server Server
		want   string // in the message; "" means none
	}{
		"GA":                   {Server{Version: "v1.36.3", PolicyVersion: "v1"}, ""},
		"beta, enabled":        {Server{Version: "v1.35.4", PolicyVersion: "v1beta1"}, "the API server (v1.35.4) serves MutatingAdmissionPolicy only as v1beta1"},
		"beta, off by default": {Server{Version: "v1.35.4"}, "the API server (v1.35.4) serves no MutatingAdmissionPolicy, which is GA since Kubernetes 1.36"},
		"turned off":           {Server{Version: "v1.37.2"}, "use everynode-webhook"},
		"not asked":            {Server{}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.server.NoPolicy()
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("NoPolicy of %+v = %q, want %q", test.server, got, test.want)
			}
		})
	}
	if said := (Server{}).Untested(); said != "" {
		t.Errorf("Untested of a server that was not asked = %q, want nothing", said)
	}
}

func TestBehaviour(t *testing.T) {
	tests := map[string]struct {
		server Server
		want   string
	}{
		"of the libraries' release": {Server{Version: "v1.37.0"}, ""},
		"newer":                     {Server{Version: "v1.38.2"}, ""},
		"older":                     {Server{Version: "v1.36.3"}, "1.36"},
		"the oldest":                {Server{Version: "v1.35.4"}, "1.35"},
		"older than the oldest":     {Server{Version: "v1.30.1"}, "1.35"},
		"emulating an older one":    {Server{Version: "v1.37.2", Emulated: "1.35"}, "1.35"},
		"as itself":                 {Server{Version: "v1.37.2", Emulated: "1.37"}, ""},
		"no version":                {Server{Version: "latest"}, ""},
		"not asked":                 {Server{}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.server.Behaviour(); got != test.want {
				t.Errorf("Behaviour of %+v = %q, want %q", test.server, got, test.want)
			}
		})
	}
}

// An update of the libraries also has to update the newest tested release.
func TestNewestIsTheLibraries(t *testing.T) {
	if want := baseversion.DefaultKubeBinaryVersion; fmt.Sprintf("1.%d", newest) != want {
		t.Errorf("the newest tested release is 1.%d, and the libraries are of %s", newest, want)
	}
}
