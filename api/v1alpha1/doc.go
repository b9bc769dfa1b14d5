// Package v1alpha1 is Everynode's API: the kind DaemonSet, a superset of apps/v1's field for
// field, and the names of every label, annotation and gate that Everynode writes.
// It imports no other folder of this repository.
//
// +kubebuilder:object:generate=true
// +groupName=everynode.dev
package v1alpha1
