// Package nodescoped has in-tree filter plugins whose verdict concerns the pod's node alone, under
// names of their own, with queueing hints that know which node that is.
//
// Upstream's hints cannot know it: a pod that waits for room is woken by the deletion of any pod
// on any node (fit.go, isSchedulableAfterAssignedPodDelete), so that pods that are stuck on a few
// nodes cost a scheduling cycle each for every pod that goes anywhere in the cluster. A pod that is
// pinned to one node sleeps through what happens to others.
//
// What a plugin decides is upstream's: PreFilter and Filter are delegated. Scores and signatures
// are left out; a pod with one node needs neither. A name of its own is needed because the
// registry takes no in-tree name twice (runtime/registry.go, Merge).
//
// VolumeRestrictions is not here: the other user of a ReadWriteOncePod claim may be on any node.
package nodescoped
