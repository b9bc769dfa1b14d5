// Package webhook is placement by admission: a thin handler around daemon.Rewrite, which turns
// spec.nodeName of a pod that is being created into a pin by node affinity.
//
// Which pods come here is not decided here: the webhook's configuration (deploy/manifests) sends
// those alone that a daemon owns or that opted in, by CEL matchConditions, so that no other pod
// ever leaves the API server (S7). What comes is rewritten; the rewrite is idempotent, so it
// does not matter that a pod comes twice.
//
// The patch is the difference between the pod as this program decodes it and the same after the
// rewrite. A field that this program does not know is therefore left alone.
package webhook
