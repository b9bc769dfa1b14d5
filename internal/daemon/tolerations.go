package daemon

import corev1 "k8s.io/api/core/v1"

// daemonTolerations are apps/v1's for every daemon pod, so that it stays on, and may start on, a failing node
// (k8s.io/kubernetes pkg/controller/daemon/util AddOrUpdateDaemonPodTolerations; documented under "Taints and
// tolerations" of DaemonSet).
var daemonTolerations = []corev1.Toleration{
	{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
}

// networkToleration lets a daemon that sets up the network, and so uses the host network, start before there is
// one.
var networkToleration = corev1.Toleration{
	Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
}

// AddTolerations adds the tolerations of a daemon pod to spec. An existing one for the same key, operator,
// value and effect is replaced: tolerationSeconds must not end a daemon.
func AddTolerations(spec *corev1.PodSpec) {
	spec.Tolerations = withDaemonTolerations(spec.Tolerations, spec.HostNetwork)
}

// withDaemonTolerations does not change the given list.
func withDaemonTolerations(have []corev1.Toleration, hostNetwork bool) []corev1.Toleration {
	tolerations := append([]corev1.Toleration(nil), have...)
	for _, toleration := range daemonTolerations {
		tolerations = put(tolerations, toleration)
	}
	if hostNetwork {
		tolerations = put(tolerations, networkToleration)
	}
	return tolerations
}

func put(tolerations []corev1.Toleration, toleration corev1.Toleration) []corev1.Toleration {
	found := false
	for i := range tolerations {
		if toleration.MatchToleration(&tolerations[i]) {
			tolerations[i], found = toleration, true
		}
	}
	if found {
		return tolerations
	}
	return append(tolerations, toleration)
}
