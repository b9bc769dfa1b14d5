// Package e2e tests Everynode as its users have it: installed by its chart in Kubernetes clusters of real kubelets,
// with real pods and a real network. make e2e builds what it needs and runs it; without that its tests are skipped.
//
// A cluster costs time, so there are two, and the tests of each are told in one order: TestBeside has Everynode beside
// what there is, TestTakeover has it in place of the built-in DaemonSet controller and of kube-scheduler. A case fails
// by itself, and the next one goes on; only an install that fails ends a cluster's test.
package e2e
