// Package cluster determines the consequences of a Kubernetes release for Everynode: whether it is tested, and
// which APIs it does not serve. docs/compatibility.md is the documentation for users.
package cluster

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// The minor versions of Kubernetes 1 that Everynode is tested on: make test on the newest, whose libraries it
// is built with, make test-compat on the others.
const (
	oldest = 35
	newest = 37
)

// The versions of admissionregistration.k8s.io in which a MutatingAdmissionPolicy may be served: GA since 1.36;
// in 1.34 and 1.35 a beta that is off by default.
const (
	policyGA   = "v1"
	policyBeta = "v1beta1"
)

// Server describes an API server; the zero value is unknown and causes no messages.
type Server struct {
	// Version is that of /version, for example v1.36.3 or v1.36.3-vendor.7.
	Version string
	// Emulated is the release that it emulates, for example 1.35; "" means that of Version.
	Emulated string
	// PolicyVersion is the newest version of admissionregistration.k8s.io that serves MutatingAdmissionPolicy;
	// "" if none does.
	PolicyVersion string
}

// release is the Kubernetes release that a server behaves as.
func (s Server) release() (*version.Version, error) {
	if s.Emulated != "" {
		return version.ParseGeneric(s.Emulated)
	}
	return version.ParseGeneric(s.Version)
}

// String returns the server's version, for messages.
func (s Server) String() string {
	if s.Emulated != "" && !strings.HasPrefix(s.Version, "v"+s.Emulated+".") {
		return s.Version + " as " + s.Emulated
	}
	return s.Version
}

// Untested returns why this API server is not tested with Everynode, with the tested versions; "" if it is.
func (s Server) Untested() string {
	if s == (Server{}) {
		return ""
	}
	tested := fmt.Sprintf("this Everynode is tested on Kubernetes 1.%d to 1.%d", oldest, newest)
	release, err := s.release()
	if err != nil {
		return fmt.Sprintf("the API server's version is %q, which names no release of Kubernetes; %s", s, tested)
	}
	switch minor := release.Minor(); {
	case release.Major() < 1, release.Major() == 1 && minor < oldest:
		return fmt.Sprintf("the API server is %s, older than the tested versions: %s and continues as if this were one of them; upgrade the cluster, or use an older Everynode", s, tested)
	case release.Major() > 1, minor > newest:
		return fmt.Sprintf("the API server is %s, newer than the tested versions: %s and continues as if this were one of them; check whether there is a newer Everynode", s, tested)
	}
	return ""
}

// Behaviour returns the release, for example 1.36, that Kubernetes' own code in a program has to emulate to
// work with the server; "" if that is the release of its libraries. Code of a later release waits for APIs that
// an older server does not have.
func (s Server) Behaviour() string {
	release, err := s.release()
	if s == (Server{}) || err != nil || release.Major() != 1 || release.Minor() >= newest {
		return ""
	}
	return fmt.Sprintf("1.%d", max(release.Minor(), oldest))
}

// NoPolicy returns why the policies that place pods (deploy/variants/policy.yaml) cannot exist as they are
// shipped, and what to do; "" if they can.
func (s Server) NoPolicy() string {
	switch {
	case s == Server{}, s.PolicyVersion == policyGA:
		return ""
	case s.PolicyVersion == policyBeta:
		return fmt.Sprintf("the API server (%s) serves MutatingAdmissionPolicy only as %s: to place pods by a policy, install deploy/variants/policy.yaml with that version (docs/compatibility.md); or use everynode-webhook", s, policyBeta)
	}
	return fmt.Sprintf("the API server (%s) serves no MutatingAdmissionPolicy, which is GA since Kubernetes 1.36, so that no policy can place pods: use everynode-webhook; or, on 1.34 and 1.35, start the API server with --feature-gates=MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1beta1=true (docs/compatibility.md)", s)
}
