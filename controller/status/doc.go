// Package status writes the status of daemons: counters, conditions, and why a daemon is not served. It also knows the
// PodDisruptionBudgets that cannot work for a daemon's pods, which a condition reports.
//
// It assumes that the status is requested again when a daemon, its pods or its budgets change.
package status
