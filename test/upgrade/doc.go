// Package upgrade tests on a real control plane that Everynode is upgraded from an earlier commit to this one,
// and downgraded, without a restart of any pod, while an observer watches. make test-upgrade builds the earlier programs
// first.
package upgrade
