// Package webhook is Everynode's admission: handlers around pure functions.
//
//   - Placement (/mutate-pods) turns spec.nodeName of a pod that is being created into a pin by node affinity.
//     It applies daemon.Rewrite and returns a JSON patch.
//   - Validation (/validate-daemonsets) refuses DaemonSets of everynode.dev that apps/v1 would refuse, with
//     upstream's own functions, and warns about valid settings that are rarely intended.
//
// The webhooks' configurations (templates/webhook of the chart) select the requests: by CEL matchConditions
// they send only pods that a daemon owns or that opted in, so that no other pod ever leaves the API server
// (S7). The handlers rewrite every pod they receive. The rewrite is idempotent, so a pod may arrive twice.
//
// A pod is decoded only as far as the rewrite reads it, and the patch names each change separately. Fields that
// this program does not know are therefore left unchanged.
package webhook
