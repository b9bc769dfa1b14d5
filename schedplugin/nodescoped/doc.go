// Package nodescoped wraps in-tree filter plugins whose verdict only concerns the pod's node, under new names,
// with queueing hints that know that node.
//
// Upstream's hints cannot know it: the deletion of any pod on any node wakes a pod that waits for resources
// (fit.go, isSchedulableAfterAssignedPodDelete), so that pods that are stuck on a few nodes cost a scheduling
// cycle each for every deletion in the cluster. Here events on other nodes do not wake a pinned pod.
//
// The decisions are upstream's: PreFilter and Filter are delegated. Scores and signatures are left out; a pod
// with one node needs neither. A new name is necessary because the registry does not accept an in-tree name
// twice (runtime/registry.go, Merge).
//
// VolumeRestrictions is not wrapped: the other user of a ReadWriteOncePod claim may be on any node.
package nodescoped
