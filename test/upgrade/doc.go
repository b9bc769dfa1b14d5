// Package upgrade tests on a real control plane that Everynode moves from a former commit to this one, and
// back, without a restart of any pod: an observer watches from the start. make test-upgrade builds the
// former programs first.
package upgrade
