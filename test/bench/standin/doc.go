// Package standin stands in for an API server in front of everynode-controller: large enough a
// cluster for measurements, small enough to leave the machine to what is measured.
//
// It serves over TLS and HTTP/2 what the controller asks for and nothing else: discovery, watches
// that begin with all there is (client-go's WatchList), built-in kinds in protobuf and DaemonSets
// in JSON, and writes of a DaemonSet's status, which come back as an event. Every node has the pod
// of every daemon, bound, ready and of the current template, so that there is nothing to create or
// to delete; whoever tries is counted and refused, and so is any other request.
//
// Objects are as large as real ones, with managed fields and full status, and made while they are
// sent. There is no storage, no list and no resumed watch: a controller that loses its connection
// has to be started anew.
package standin
