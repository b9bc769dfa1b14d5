// Package e2e tests Everynode as users run it: installed with its chart in Kubernetes clusters of real
// kubelets, with real pods and a real network. make e2e builds its requirements and runs it; without them its
// tests are skipped.
//
// A cluster costs time, so there are only two, and the tests of each run in one order: TestBeside installs
// Everynode beside the built-in components, TestTakeover in place of the built-in DaemonSet controller and of
// kube-scheduler. Cases fail independently; only an install that fails ends a cluster's test.
package e2e
