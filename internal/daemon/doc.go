// Package daemon holds the rules of a daemon, pure: which nodes are eligible and why not, how a
// pod is built and pinned to its node, names, cells and counters, status.
//
// There is no client, no clock of its own, no goroutine and no logger in here: time comes in as
// an argument. The controller, the webhook and the scheduler plugin share these rules, and so
// give the same answer.
package daemon
