// Package kind makes Kubernetes clusters whose nodes are containers, by the program kind, installs
// Everynode in them by its chart, and deletes them again. It needs a Docker engine and what hack/kind.sh
// builds. A cluster that it deletes is one whose name begins with Prefix; no other is touched.
//
// A kubelet in a container sets some kernel parameters for the whole machine. They are put back when the cluster
// is deleted, as far as the process may.
package kind
