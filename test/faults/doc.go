// Package faults disturbs a lab of real processes, one fault at a time, while DaemonSets of both kinds roll out and lose pods and
// nodes. A process outside the product (package observer) records what happened, and package checker judges it by the invariants S1-S8 and
// L1-L4. A run fails if there is a violation, and also if its fault did not happen: each test shows that the process died, the watch
// was frozen, the requests were refused.
//
// The tests are named by the fault's id in docs/reliability.md. go test runs the short ones once; make faults runs all, and make
// faults-runs RUNS=300 runs each of them that often and continues after an interruption. Run n of a fault makes the same random choices
// each time, but real processes interleave differently; the saved history is what can be judged again.
package faults
