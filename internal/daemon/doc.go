// Package daemon holds the rules of a daemon, pure: node eligibility with reasons, building pods and pinning
// them to their nodes, names, cells and counters, status.
//
// It contains no client, clock, goroutine or logger: the time is an argument. The controller, the webhook and
// the scheduler plugin share these rules, so that they agree.
package daemon
