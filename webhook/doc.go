// Package webhook is Everynode's admission: handlers around pure functions.
//
//   - Placement (/mutate-pods) turns spec.nodeName of a pod that is being created into a pin by node
//     affinity. It is daemon.Rewrite, put into a JSON patch.
//   - Validation (/validate-daemonsets) refuses DaemonSets of everynode.dev that apps/v1 would refuse, by
//     upstream's own functions, and warns of what is legal but surely wrong.
//
// Which requests come here is not decided here: the webhooks' configurations (templates/webhook of the chart) send
// those pods alone that a daemon owns or that opted in, by CEL matchConditions, so that no other pod
// ever leaves the API server (S7). What comes is rewritten; the rewrite is idempotent, so it
// does not matter that a pod comes twice.
//
// A pod is decoded no further than the rewrite reads, and the patch names the places that it changes, one
// by one. A field that this program does not know is therefore left alone.
package webhook
