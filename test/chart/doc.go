// Package chart tests the Helm chart of deploy/chart/everynode: what each value does, that what is
// rendered is valid and runs restricted, what is refused, and a release on a lab.
package chart
