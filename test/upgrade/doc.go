// Package upgrade tests on a real control plane that Everynode moves from a former commit to this one, and
// back, without a restart of any pod, while an observer watches. make test-upgrade builds the former programs
// first.
package upgrade
