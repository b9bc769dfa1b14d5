// Package proxy injects faults between a program and its API server. It understands HTTP, because one connection carries watches
// and writes together: a proxy of connections (such as toxiproxy) could not freeze the one and let the other pass, nor lose the
// answer of one write.
//
//   - Freeze holds back what watches deliver, and Delay delays it. The program's view is stale.
//   - Rewind also answers lists and initial events as of the time of Remember, as an API server does whose own view is stale: a
//     program that starts then travels back in time (k/k#59848).
//   - Sever ends all requests and refuses new ones, until Reconnect: a network partition. SeverWatches does so for watches.
//   - Harm is called for each write, and decides what happens to it: it is refused, its answer is lost, or something is
//     done before or after it, such as killing the program.
//
// It counts what it did, so that a test can show that its fault happened.
package proxy
