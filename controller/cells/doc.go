// Package cells plans a cell, one daemon on one node, with the rules of internal/daemon and executes the plan: it creates,
// deletes, adopts and releases pods, and probes whether blocked nodes still are.
//
// It assumes that a cell is not processed by two callers at once, and that the queue retries after an error,
// with back-off. The cache may be stale: a pod's name depends on its predecessors, so that a second create of the same pod is
// answered with AlreadyExists (S1), and every delete and patch carries the UID of its pod (S5).
package cells
