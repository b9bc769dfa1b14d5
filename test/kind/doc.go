// Package kind creates Kubernetes clusters whose nodes are containers, with the program kind, installs
// Everynode in them with its chart, and deletes them again. It needs a Docker engine and the output of
// hack/kind.sh. It only deletes clusters whose names begin with Prefix.
//
// A kubelet in a container sets some kernel parameters for the whole host. They are restored when the cluster
// is deleted, as far as the process has permission.
package kind
