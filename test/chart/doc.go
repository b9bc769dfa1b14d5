// Package chart tests the Helm chart of deploy/chart/everynode: the effect of each value, that rendered
// manifests are valid and run restricted, refusals, and a release on a lab.
package chart
