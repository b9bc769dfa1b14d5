// Package observer records what happens in a lab: a process of its own, with its own clients, that uses nothing of Everynode's
// programs but the API types. It reads
//
//   - etcd's revisions, which order the changes of all resources, and which stay readable while the API server is the victim of
//     a fault. What was compacted before it could be read is a Gap.
//   - the API server's audit log, for what changes cannot show: requests that were refused, preconditions of deletes, objects
//     as they were sent, and how long each answer took. What the API server was doing when it was killed is missing there.
//
// A test starts the process with Start, marks the phases of its run, and gets the history from Finish. A mark is placed after
// every change that was committed before it.
package observer
