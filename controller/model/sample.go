package model

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// EmittedPods collects functions that create pods as they are emitted, for any node, by namespace and name of
// their daemons. Our own namespace, which admission excludes, has none.
func EmittedPods(into map[string]map[string]func() *corev1.Pod) Work {
	return &eachDaemon{f: func(u Update, key daemon.WorkloadKey, known *tracked) {
		first, some := u.nodeNames.Min()
		if !some || !known.keptUp() || key.Namespace == v1alpha1.SystemNamespace {
			return
		}
		if into[key.Namespace] == nil {
			into[key.Namespace] = map[string]func() *corev1.Pod{}
		}
		template, node := known.templates[known.update].template, u.nodes[first]
		into[key.Namespace][known.workload.Name] = func() *corev1.Pod {
			return plain(daemon.NewPod(template, node, template.PodName(node.Name, "sample", false)))
		}
	}}
}

// plain returns an emitted pod without fields that other admission may refuse before placement: a service
// account, a priority or a runtime class that does not exist.
func plain(pod *corev1.Pod) *corev1.Pod {
	pod.Spec = corev1.PodSpec{
		NodeName: pod.Spec.NodeName, SchedulingGates: pod.Spec.SchedulingGates, SchedulerName: pod.Spec.SchedulerName,
		AutomountServiceAccountToken: new(bool),
		Containers:                   []corev1.Container{{Name: "probe", Image: "everynode.dev/never-run"}},
	}
	return pod
}
