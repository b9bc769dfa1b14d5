// Package hostile provides objects as large as the API server stores them: one for each list, map and text of a
// pod that a user may fill. Tests and benchmarks use them to measure the cost of one object.
package hostile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Limit is the largest object that etcd accepts (--max-request-bytes).
const Limit = 1536 << 10

// Node is the node that all of these pods are pinned to.
const Node = "n1"

// part fills one list of a pod, or of a template, with n elements.
type part func(meta *metav1.ObjectMeta, spec *corev1.PodSpec, n int)

// Pinned returns a requirement that pins a term to a node.
func Pinned(node string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}
}

func term(fields ...corev1.NodeSelectorRequirement) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: fields}
}

// each creates n elements.
func each[T any](n int, element func(i int) T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = element(i)
	}
	return list
}

// id returns a short text for each number.
func id(i int) string { return fmt.Sprintf("x%x", i) }

func require(spec *corev1.PodSpec, terms []corev1.NodeSelectorTerm) {
	spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

func expression(key string, operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: operator, Values: values}
}

func avoid(spec *corev1.PodSpec, terms []corev1.PodAffinityTerm) {
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}
}

var parts = map[string]part{
	"terms of nothing": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		require(spec, append(make([]corev1.NodeSelectorTerm, n), term(Pinned(Node))))
	},
	"terms": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		require(spec, each(n+1, func(int) corev1.NodeSelectorTerm { return term(Pinned(Node)) }))
	},
	"terms with labels": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		require(spec, each(n+1, func(i int) corev1.NodeSelectorTerm {
			with := term(Pinned(Node))
			with.MatchExpressions = []corev1.NodeSelectorRequirement{expression(id(i), corev1.NodeSelectorOpExists)}
			return with
		}))
	},
	"matchFields of one node": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		require(spec, []corev1.NodeSelectorTerm{term(each(n+1, func(int) corev1.NodeSelectorRequirement { return Pinned(Node) })...)})
	},
	"matchFields of other nodes": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		others := func(from int) corev1.NodeSelectorTerm {
			return term(each(n/2+1, func(i int) corev1.NodeSelectorRequirement { return Pinned(id(from + i)) })...)
		}
		require(spec, []corev1.NodeSelectorTerm{others(0), others(n), term(Pinned(Node))})
	},
	"matchFields that exclude": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		fields := each(n, func(i int) corev1.NodeSelectorRequirement {
			return expression(metav1.ObjectNameField, corev1.NodeSelectorOpNotIn, id(i))
		})
		require(spec, []corev1.NodeSelectorTerm{term(append(fields, Pinned(Node))...)})
	},
	"matchExpressions": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		pinned := term(Pinned(Node))
		pinned.MatchExpressions = each(n, func(i int) corev1.NodeSelectorRequirement {
			return expression(id(i), corev1.NodeSelectorOpDoesNotExist)
		})
		require(spec, []corev1.NodeSelectorTerm{pinned})
	},
	"values": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		pinned := term(Pinned(Node))
		pinned.MatchExpressions = []corev1.NodeSelectorRequirement{expression("a", corev1.NodeSelectorOpNotIn, each(n+1, id)...)}
		require(spec, []corev1.NodeSelectorTerm{pinned})
	},
	"nodeSelector": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) { spec.NodeSelector = texts(n) },
	"tolerations": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Tolerations = each(n, func(i int) corev1.Toleration {
			return corev1.Toleration{Key: id(i), Operator: corev1.TolerationOpExists}
		})
	},
	"labels":      func(meta *metav1.ObjectMeta, _ *corev1.PodSpec, n int) { maps.Copy(meta.Labels, texts(n)) },
	"annotations": func(meta *metav1.ObjectMeta, _ *corev1.PodSpec, n int) { meta.Annotations = texts(min(n, 20000)) }, // 256 KiB in all
	"finalizers": func(meta *metav1.ObjectMeta, _ *corev1.PodSpec, n int) {
		meta.Finalizers = each(n, func(i int) string { return "a/" + id(i) })
	},
	"ownerReferences": func(meta *metav1.ObjectMeta, _ *corev1.PodSpec, n int) {
		others := each(n, func(i int) metav1.OwnerReference {
			return metav1.OwnerReference{APIVersion: "v1", Kind: "A", Name: "a", UID: types.UID(id(i))}
		})
		meta.OwnerReferences = append(others, meta.OwnerReferences...)
	},
	"containers": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Containers = each(n+1, func(i int) corev1.Container { return corev1.Container{Name: id(i), Image: "a"} })
	},
	"environment": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Containers[0].Env = each(n, func(i int) corev1.EnvVar { return corev1.EnvVar{Name: id(i)} })
	},
	"ports": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Containers[0].Ports = each(n, func(i int) corev1.ContainerPort {
			return corev1.ContainerPort{ContainerPort: int32(i%65535 + 1), HostPort: int32(i%65535 + 1), HostIP: id(i)}
		})
	},
	"an argument": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Containers[0].Args = []string{strings.Repeat("x", n)}
	},
	"volumes": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Volumes = each(n, func(i int) corev1.Volume {
			return corev1.Volume{Name: id(i), VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
		})
	},
	"anti-affinity": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		avoid(spec, each(n, func(i int) corev1.PodAffinityTerm {
			return corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": id(i)}}}
		}))
	},
	"a selector of anti-affinity": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		avoid(spec, []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: texts(n)}}})
	},
	"topologySpreadConstraints": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.TopologySpreadConstraints = each(n, func(i int) corev1.TopologySpreadConstraint {
			return corev1.TopologySpreadConstraint{TopologyKey: id(i), MaxSkew: 1, WhenUnsatisfiable: corev1.ScheduleAnyway}
		})
	},
	"schedulingGates": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.SchedulingGates = each(n, func(i int) corev1.PodSchedulingGate { return corev1.PodSchedulingGate{Name: id(i)} })
	},
	"probes": func(_ *metav1.ObjectMeta, spec *corev1.PodSpec, n int) {
		spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Port:        intstr.FromInt32(80),
			HTTPHeaders: each(n, func(i int) corev1.HTTPHeader { return corev1.HTTPHeader{Name: id(i)} }),
		}}}
	},
}

func texts(n int) map[string]string {
	set := map[string]string{}
	for i := range n {
		set[id(i)] = ""
	}
	return set
}

// Kinds returns the names of all parts, sorted.
func Kinds() []string {
	return slices.Sorted(maps.Keys(parts))
}

// Pod returns a pod of a DaemonSet that waits for Node and has as much of one part as the API server stores.
func Pod(kind string) *corev1.Pod {
	return fill(func(n int) *corev1.Pod { return PodOf(kind, n) })
}

// PodOf returns one with n elements.
func PodOf(kind string, n int) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "hostile", UID: "uid-hostile", ResourceVersion: "1", Labels: map[string]string{"app": "hostile"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "d", UID: "uid-d", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{SchedulerName: "everynode-scheduler", Containers: []corev1.Container{{Name: "c", Image: "a"}}},
	}
	require(&pod.Spec, []corev1.NodeSelectorTerm{term(Pinned(Node))})
	parts[kind](&pod.ObjectMeta, &pod.Spec, n)
	return pod
}

// Template returns the template of a DaemonSet that selects app=hostile, as large as possible.
func Template(kind string) *corev1.PodTemplateSpec {
	return fill(func(n int) *corev1.PodTemplateSpec { return TemplateOf(kind, n) })
}

// TemplateOf returns one with n elements.
func TemplateOf(kind string, n int) *corev1.PodTemplateSpec {
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "hostile"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "a"}}},
	}
	parts[kind](&template.ObjectMeta, &template.Spec, n)
	return template
}

// fill creates an object as large as Limit, in the stored encoding.
func fill[T interface{ Size() int }](of func(n int) T) T {
	const some = 4096
	empty := of(0).Size()
	n := (Limit - empty) * some / max(1, of(some).Size()-empty)
	object := of(n)
	for object.Size() > Limit { // names get longer with their number
		n = n * Limit / object.Size() * 99 / 100
		object = of(n)
	}
	return object
}
