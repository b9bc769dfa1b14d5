package preemption

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// moreImportantVictim reports whether the first is reprieved before the second: by priority, then pods that
// are pinned here, then upstream's order (groups before pods, then earlier start).
func moreImportantVictim(first, second preemption.Victim) bool {
	if first.Priority() != second.Priority() {
		return first.Priority() > second.Priority()
	}
	if pinned := pinnedVictim(first); pinned != pinnedVictim(second) {
		return pinned
	}
	return preemption.MoreImportantVictim(first, second)
}

func pinnedVictim(victim preemption.Victim) bool {
	return slices.ContainsFunc(victim.Pods(), func(info fwk.PodInfo) bool { return pinnedHere(info.GetPod()) })
}

// pinnedHere reports whether a pod can run only on its own node: a daemon's pod, even if it was created with a node name, a
// static pod, and any pod whose affinity allows only one node.
func pinnedHere(pod *corev1.Pod) bool {
	if _, owned := podfacts.Owner(pod); owned {
		return true
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return true
	}
	_, pinned := daemon.PinnedNode(&pod.Spec)
	return pinned
}
