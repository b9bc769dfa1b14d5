// Package podaffinity is required inter-pod affinity and anti-affinity for pods that have one node
// to go to.
//
// Upstream's InterPodAffinity looks, for every pod, at every node that holds a pod with required
// anti-affinity (filtering.go, getExistingAntiAffinityCounts), and at every pod of the cluster for
// one with terms of its own. Most such terms are of topology kubernetes.io/hostname: they concern
// pods of the same node, and for a pod with one node they can be read off that node. Filter does so
// from the NodeInfo that it is given, so that preemption's dry runs and nominated pods are right by
// construction.
//
// The in-tree plugin is asked, at its cost, as soon as the answer may lie on other nodes:
//   - the pod has required affinity. That of topology kubernetes.io/hostname too: the first pod of
//     a group that wants to be together is let in when no pod anywhere matches.
//   - the pod has required anti-affinity of another topology.
//   - some pod has required anti-affinity of another topology (see reach.go).
//   - the pod is not pinned, or is bound and in the queue for a resize.
//
// Two nodes with one value of kubernetes.io/hostname are one place for upstream and two here, as
// they are with upstream's gate InterPodAffinityHostnameFastPath. Preferred terms are for scores
// and count for nothing.
package podaffinity
