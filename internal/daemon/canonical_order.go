package daemon

import (
	"bytes"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reorderLists sorts the lists whose order is meaningless. Lists whose order matters include env and envFrom,
// where later ones override earlier ones and refer to them; containers, which start in order; the sources of a
// projected volume, where the later of two files with one path wins; restartPolicyRules, where the first match
// decides; and the order in which resolvers and monitors are queried.
func reorderLists(part any) {
	switch v := part.(type) {
	case *metav1.ObjectMeta:
		reorder(v.Finalizers)
	case *corev1.PodSpec:
		reorder(v.Volumes)
		reorder(v.ImagePullSecrets) // all are tried
		reorder(v.Tolerations)      // one match is sufficient
		reorder(v.ReadinessGates)
		reorder(v.TopologySpreadConstraints)
		reorder(v.SchedulingGates)
		reorder(v.ResourceClaims)
		reorder(v.EvictionResponders) // they have priorities
	case *corev1.PodSecurityContext:
		reorder(v.SupplementalGroups)
		reorder(v.Sysctls)
	case *corev1.Container:
		reorder(v.Ports)
		reorder(v.VolumeMounts) // no two have one path, and runtimes mount outer paths first
		reorder(v.VolumeDevices)
		reorder(v.ResizePolicy) // one for each resource
	case *corev1.ResourceRequirements:
		reorder(v.Claims)
	case *corev1.ContainerRestartRuleOnExitCodes:
		reorder(v.Values)
	case *corev1.Capabilities:
		reorder(v.Add)
		reorder(v.Drop)
	case *corev1.PersistentVolumeClaimSpec:
		reorder(v.AccessModes)
	default:
		reorderSelectors(part)
		reorderFiles(part)
	}
}

// reorderSelectors sorts terms, which are ORed or weighed, requirements, which are ANDed, and sets of values,
// keys and namespaces.
func reorderSelectors(part any) {
	switch v := part.(type) {
	case *corev1.NodeSelector:
		reorder(v.NodeSelectorTerms)
	case *corev1.NodeSelectorTerm:
		reorder(v.MatchExpressions)
		reorder(v.MatchFields)
	case *corev1.NodeSelectorRequirement:
		reorder(v.Values)
	case *metav1.LabelSelector:
		reorder(v.MatchExpressions)
	case *metav1.LabelSelectorRequirement:
		reorder(v.Values)
	case *corev1.NodeAffinity:
		reorder(v.PreferredDuringSchedulingIgnoredDuringExecution)
	case *corev1.PodAffinity:
		reorder(v.RequiredDuringSchedulingIgnoredDuringExecution) // ANDed
		reorder(v.PreferredDuringSchedulingIgnoredDuringExecution)
	case *corev1.PodAntiAffinity:
		reorder(v.RequiredDuringSchedulingIgnoredDuringExecution)
		reorder(v.PreferredDuringSchedulingIgnoredDuringExecution)
	case *corev1.PodAffinityTerm:
		reorder(v.Namespaces)
		reorder(v.MatchLabelKeys)
		reorder(v.MismatchLabelKeys)
	case *corev1.TopologySpreadConstraint:
		reorder(v.MatchLabelKeys)
	}
}

// reorderFiles sorts the files of a volume, unless two have the same path: then the later wins.
func reorderFiles(part any) {
	switch v := part.(type) {
	case *corev1.SecretVolumeSource:
		reorderUnique(v.Items, pathOfKey)
	case *corev1.SecretProjection:
		reorderUnique(v.Items, pathOfKey)
	case *corev1.ConfigMapVolumeSource:
		reorderUnique(v.Items, pathOfKey)
	case *corev1.ConfigMapProjection:
		reorderUnique(v.Items, pathOfKey)
	case *corev1.DownwardAPIVolumeSource:
		reorderUnique(v.Items, pathOfField)
	case *corev1.DownwardAPIProjection:
		reorderUnique(v.Items, pathOfField)
	}
}

func pathOfKey(item corev1.KeyToPath) string               { return item.Path }
func pathOfField(item corev1.DownwardAPIVolumeFile) string { return item.Path }

func reorderUnique[T any](list []T, path func(T) string) {
	paths := map[string]bool{}
	for _, item := range list {
		paths[path(item)] = true
	}
	if len(paths) == len(list) {
		reorder(list)
	}
}

// reorder sorts canonical elements by their whole content.
func reorder[T any](list []T) {
	if len(list) < 2 {
		return
	}
	type keyed struct {
		key     []byte
		element T
	}
	elements := make([]keyed, len(list))
	for i, element := range list {
		key, _ := encode(element) // an encoding error makes Revision fail
		elements[i] = keyed{key, element}
	}
	slices.SortFunc(elements, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	for i := range elements {
		list[i] = elements[i].element
	}
}
