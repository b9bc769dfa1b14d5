// Package policy holds the three implementations of placement to one answer: the function
// daemon.Rewrite, everynode-webhook with its registration, and the policies of the chart in the API
// server's own evaluator. Random pods are their common oracle; mutants of the policies prove that it
// would tell. The lab's real API server is asked as well.
package policy
