// Package state is the model of the cluster with its lock. Every observation, answer and query is one
// Update of the model, during which it is locked; keys are enqueued after the lock is released. Work that
// concerns many cells runs in batches, so that no event waits for all of them.
//
// It assumes that an Update makes no calls, and that queues do not block.
package state
