// Package standin stands in for an API server in front of everynode-controller: a cluster large enough for
// measurements, cheap enough to leave the machine to the measured program.
//
// Over TLS and HTTP/2 it serves only the controller's requests: discovery, watches that begin with all objects
// (client-go's WatchList), built-in kinds in protobuf and DaemonSets in JSON, and writes of a DaemonSet's
// status, which come back as an event. Every node has the pod of every daemon, bound, ready and of the current
// template, so that no pod has to be created or deleted; such attempts are counted and refused, and so is any
// other request.
//
// Objects are as large as real ones, with managed fields and full status, and are created while they are sent.
// There is no storage, no list and no resumed watch: restart a controller that loses its connection.
package standin
