// Package certs gives the webhook its certificate, keeps it fresh, and has the API server trust
// it.
//
// A Source is a server's side: where its certificate comes from, files or a Secret, and that one
// that was renewed is served to the next connection, without a restart.
//
// A Manager is the other side, and works in the controller: who makes what is in that Secret. In
// the self-managed mode it does so itself, with a CA of its own (plan.go has the rules); in the
// cert-manager mode it asks cert-manager to, and cainjector to have the API server trust it
// (injection.go has the rules). Rules are pure, and every step that they plan is one write that
// leaves what is served trusted: whoever comes after a crash, or leads next, goes on from what is
// stored.
//
// Assumption of files: whoever renews them replaces both within a moment, as the kubelet does with
// a mounted Secret. While they do not fit together the former pair is served.
package certs
