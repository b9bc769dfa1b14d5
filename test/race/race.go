// Package race states whether a test runs with the race detector, and scales what depends on that.
package race

import "time"

// Limit scales a time limit of a test: with the race detector everything takes several times as long.
func Limit(limit time.Duration) time.Duration { return factor * limit }

// ExitCode is the exit status of a program in which the race detector found a data race (GORACE's default exitcode).
const ExitCode = 66
