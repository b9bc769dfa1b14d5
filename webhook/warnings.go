package webhook

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/pods"
)

// warnings returns warnings about settings that are valid and rarely intended. Each describes the fix, and fits
// on a terminal line: the API server truncates warnings to 256 characters.
func (v *validator) warnings(ctx context.Context, set *appsv1.DaemonSet, spec *apps.DaemonSetSpec) []string {
	pod := &set.Spec.Template.Spec
	found := surgeWarnings(ctx, set, v.nodes)
	if pod.PriorityClassName == "" {
		found = append(found, "spec.template.spec: without priorityClassName other pods keep it off full nodes; set a PriorityClass")
	}
	for i, toleration := range pod.Tolerations {
		if toleration.Key == "" && toleration.Operator == corev1.TolerationOpExists {
			found = append(found, fmt.Sprintf("spec.template.spec.tolerations[%d]: tolerates every taint, including those of broken nodes; list the keys", i))
		}
	}
	found = append(found, v.others.overlaps(set)...)
	if pairs(&spec.Template.Spec) > pairLimit {
		return found
	}
	// apps/v1's own warnings: deprecated names, duplicate names and so on.
	return append(found, podutil.GetWarningsForPodTemplate(ctx, field.NewPath("spec", "template"), &spec.Template, nil)...)
}

// pairLimit bounds the pairs of ports, and of files in volumes, that upstream may warn about: a hundred of each
// are below it.
const pairLimit = 10_000

// pairs returns how many ports and files upstream's warnings compare with each other (k8s.io/kubernetes
// pkg/api/pod/warnings.go); each pair may cause a warning.
func pairs(pod *core.PodSpec) int {
	ports, files := 0, 0
	pods.VisitContainersWithPath(pod, nil, func(container *core.Container, _ *field.Path) bool {
		ports += len(container.Ports)
		return true
	})
	for i := range pod.Volumes {
		files += filesIn(&pod.Volumes[i].VolumeSource)
	}
	return ports*ports + files*files
}

func filesIn(volume *core.VolumeSource) int {
	files := 0
	if volume.ConfigMap != nil {
		files += len(volume.ConfigMap.Items)
	}
	if volume.Secret != nil {
		files += len(volume.Secret.Items)
	}
	if volume.DownwardAPI != nil {
		files += len(volume.DownwardAPI.Items)
	}
	if volume.Projected == nil {
		return files
	}
	for _, source := range volume.Projected.Sources {
		files++
		if source.ConfigMap != nil {
			files += len(source.ConfigMap.Items)
		}
		if source.Secret != nil {
			files += len(source.Secret.Items)
		}
		if source.DownwardAPI != nil {
			files += len(source.DownwardAPI.Items)
		}
	}
	return files
}
