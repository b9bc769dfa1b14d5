// Package certs provides the webhook's certificate, renews it, and makes the API server trust it.
//
// A Source is the server side: it loads a certificate from files or a Secret, and serves a renewed one to the
// next connection, without a restart.
//
// A Manager is the other side, in the controller: it fills that Secret. In the self-managed mode it does so
// itself, with its own CA (plan.go has the rules). In the cert-manager mode it requests the certificate from
// cert-manager, and lets cainjector make the API server trust it (injection.go has the rules). Rules are pure,
// and every step that they plan is one write after which the served certificate is still trusted: after a
// crash, or when another replica leads, work continues from the stored state.
//
// Files must be replaced together within a moment, as the kubelet does with a mounted Secret. While they do not
// match, the former pair is served.
package certs
