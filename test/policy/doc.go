// Package policy compares the three implementations of placement: the function daemon.Rewrite,
// everynode-webhook with its registration, and the policies of the chart in the API server's own evaluator.
// Random pods must get the same answer from all; mutants of the policies prove that a difference would be
// found. The lab's real API server is tested as well.
package policy
