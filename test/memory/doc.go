// Package memory is an API server in memory, for simulations that run in a single loop.
//
// It has what the engine and its environment depend on: objects of all kinds that the engine reads or writes, revisions that
// count the changes of all of them as etcd does, lists at any revision, and a cursor for each client that watches a
// resource; create-if-absent, preconditions, the status subresource, generations, graceful deletion, finalizers; admission
// in the API server's order (the namespace's lifecycle, PriorityClasses and RuntimeClasses, mutating webhooks, validation,
// ResourceQuotas, and the name last), with the interlock of spec.nodeName and scheduling gates; bindings; and the garbage
// collector and the quota controller, one step at a time.
//
// It is deterministic: UIDs and revisions are counted, time is a given clock, and nothing depends on the order of a map. A
// stored object is never changed, so that caches and histories share it. It is not safe for concurrent use.
//
// It does not implement defaults, schemas and most of validation, field and label selectors, and lists or watches as requests:
// whoever simulates an informer reads List and Cursor.
package memory
