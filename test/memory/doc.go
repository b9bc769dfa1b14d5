// Package memory is an in-memory API server, for simulations that run in a single loop: objects by kind, namespace and
// name, create-if-absent, preconditions of deletes and patches, the status subresource, graceful deletion of bound pods,
// the interlock of spec.nodeName and scheduling gates, and watch events that wait until the loop delivers them.
//
// It is deterministic: UIDs and resource versions are counted, time is a given clock, and nothing depends on the order
// of a map. Requests and answers are logged as text. It is not safe for concurrent use.
//
// It does not implement validation, defaulting, owner references' garbage collection, field and label selectors.
package memory
