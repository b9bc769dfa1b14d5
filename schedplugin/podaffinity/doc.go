// Package podaffinity implements required inter-pod affinity and anti-affinity for pods that are pinned to one
// node.
//
// Upstream's InterPodAffinity visits, for every pod, every node that holds a pod with required anti-affinity
// (filtering.go, getExistingAntiAffinityCounts), and every pod of the cluster for a pod with its own terms.
// Most such terms have the topology kubernetes.io/hostname: they concern pods of the same node, and for a pod
// with one node they can be evaluated on that node. Filter does so from the NodeInfo that it is given, so that
// preemption dry runs and nominated pods are handled correctly by construction.
//
// The in-tree plugin is called, at its cost, when the answer may depend on other nodes:
//   - the pod has required affinity, even of topology kubernetes.io/hostname: the first pod of a group
//     with affinity to itself is admitted when no pod anywhere matches.
//   - the pod has required anti-affinity of another topology.
//   - some pod has required anti-affinity of another topology (see reach.go).
//   - the pod is not pinned, or is bound and in the queue for a resize.
//
// Two nodes with the same value of kubernetes.io/hostname are one place for upstream and two here, as with
// upstream's feature gate InterPodAffinityHostnameFastPath. Preferred terms only affect scores and are ignored.
package podaffinity
