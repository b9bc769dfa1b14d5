// Package state is the model of the cluster with its lock. An observation, an answer and a question are each one
// Update of the model, during which it is locked; what that wakes is enqueued after the lock is released. Work that
// concerns many cells runs batch by batch, so that no event waits for all of them.
//
// It assumes that an Update makes no calls, and that queues do not block.
package state
