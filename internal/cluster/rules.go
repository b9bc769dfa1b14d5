// Package cluster says what a Kubernetes release means for Everynode: which are tested, and what an API
// server lacks. docs/compatibility.md tells the same to people.
package cluster

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// The minor versions of Kubernetes 1 that Everynode is tested on: make test on the newest, whose libraries
// it is built of, make test-compat on the others.
const (
	oldest = 35
	newest = 37
)

// The versions of admissionregistration.k8s.io in which a MutatingAdmissionPolicy may be served: GA
// since 1.36; before, in 1.34 and 1.35, a beta that is off unless asked for.
const (
	policyGA   = "v1"
	policyBeta = "v1beta1"
)

// Server is what an API server says of itself; the zero value is one that nobody could ask, of which
// nothing is said.
type Server struct {
	// Version is as /version has it, v1.36.3 or v1.36.3-vendor.7.
	Version string
	// Emulated is the release, as 1.35, that it behaves as by its own flag; "" means that of Version.
	Emulated string
	// PolicyVersion is the best of admissionregistration.k8s.io in which it serves
	// MutatingAdmissionPolicy; "" when in none.
	PolicyVersion string
}

// release is the Kubernetes release that a server behaves as.
func (s Server) release() (*version.Version, error) {
	if s.Emulated != "" {
		return version.ParseGeneric(s.Emulated)
	}
	return version.ParseGeneric(s.Version)
}

// String is the server's version, for messages.
func (s Server) String() string {
	if s.Emulated != "" && !strings.HasPrefix(s.Version, "v"+s.Emulated+".") {
		return s.Version + " as " + s.Emulated
	}
	return s.Version
}

// Untested says why nobody has tried Everynode on such an API server, and what was tried; "" when
// somebody has.
func (s Server) Untested() string {
	if s == (Server{}) {
		return ""
	}
	tested := fmt.Sprintf("this Everynode is tested on Kubernetes 1.%d to 1.%d", oldest, newest)
	release, err := s.release()
	if err != nil {
		return fmt.Sprintf("the API server calls its version %q, which says no release of Kubernetes; %s", s, tested)
	}
	switch minor := release.Minor(); {
	case release.Major() < 1, release.Major() == 1 && minor < oldest:
		return fmt.Sprintf("the API server is %s, older than what was tried: %s and goes on as if this were one of them; update the cluster, or take the Everynode of that time", s, tested)
	case release.Major() > 1, minor > newest:
		return fmt.Sprintf("the API server is %s, newer than what was tried: %s and goes on as if this were one of them; see whether there is a newer Everynode", s, tested)
	}
	return ""
}

// Behaviour is the release, as 1.36, that Kubernetes' own code in a program has to behave as to get along
// with the server; "" when that is the release of its libraries. Code of a later release waits for APIs
// that an older server does not have.
func (s Server) Behaviour() string {
	release, err := s.release()
	if s == (Server{}) || err != nil || release.Major() != 1 || release.Minor() >= newest {
		return ""
	}
	return fmt.Sprintf("1.%d", max(release.Minor(), oldest))
}

// NoPolicy says why the policies that place pods (deploy/variants/policy.yaml) cannot be there as they
// are shipped, and what to do; "" when they can.
func (s Server) NoPolicy() string {
	switch {
	case s == Server{}, s.PolicyVersion == policyGA:
		return ""
	case s.PolicyVersion == policyBeta:
		return fmt.Sprintf("the API server (%s) serves MutatingAdmissionPolicy as %s alone: to have a policy place pods, install deploy/variants/policy.yaml with that version (docs/compatibility.md); or use everynode-webhook", s, policyBeta)
	}
	return fmt.Sprintf("the API server (%s) serves no MutatingAdmissionPolicy, which is GA since Kubernetes 1.36, so that no policy can place pods: use everynode-webhook; or, on 1.34 and 1.35, start the API server with --feature-gates=MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1beta1=true (docs/compatibility.md)", s)
}
