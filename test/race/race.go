// Package race states whether a test runs with the race detector, and scales what depends on that.
package race

import "time"

// Limit is a time limit of a test: with the race detector everything takes several times as long.
func Limit(limit time.Duration) time.Duration { return factor * limit }

// ExitCode is what a program ends with in which the race detector found a data race (GORACE's default exitcode).
const ExitCode = 66
