// Package history maintains the ControllerRevisions of daemons, with the plan of internal/daemon.
//
// It assumes that a daemon is not processed by two callers at once, and that the queue retries after an error,
// with back-off. Every patch carries the UID and the resourceVersion of its record, every delete the UID (S5).
package history
