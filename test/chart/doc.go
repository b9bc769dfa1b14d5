// Package chart tests the Helm chart of deploy/chart/everynode without a cluster: what each value
// does, that what is rendered is valid and runs restricted, and what is refused.
package chart
