// Package edits has random edits of a DaemonSet's spec, and random corruption of the objects that the controller writes, for tests that the end
// state depends on the last spec only (L4). It is pure: the random source comes in.
package edits

import (
	"fmt"
	"math/rand/v2"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Names of labels, taints and annotations that the edits use: tests set the first two on some nodes.
const (
	Disk    = "disk"    // label with the value SSD
	SSD     = "ssd"     //
	Special = "special" // taint of effect NoSchedule
	Note    = "example.com/note"
	Extra   = "extra" // label of the template
)

// Edit is a change of a spec. One that is invalid is refused, or its pods are refused or wait until another edit of the same part.
type Edit struct {
	Name string
	// Part is what the edit sets; another edit of the part replaces it.
	Part  string
	Valid bool
	apply func(spec *v1alpha1.DaemonSetSpec, random *rand.Rand)
}

// Apply changes a spec.
func (e Edit) Apply(spec *v1alpha1.DaemonSetSpec, random *rand.Rand) { e.apply(spec, random) }

// all edits; the first of each part restores the valid state from which L1 is expected.
var all = []Edit{
	{"image", "image", true, func(spec *v1alpha1.DaemonSetSpec, random *rand.Rand) {
		spec.Template.Spec.Containers[0].Image = fmt.Sprintf("example.com/image:%d", random.IntN(3))
	}},
	{"note", "note", true, func(spec *v1alpha1.DaemonSetSpec, random *rand.Rand) {
		spec.Template.Annotations = map[string]string{Note: fmt.Sprint(random.IntN(3))}
	}},
	{"no note", "note", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.Template.Annotations = nil }},
	{"labels of the selector", "labels", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.Template.Labels = selected(spec) }},
	{"an additional label", "labels", true, func(spec *v1alpha1.DaemonSetSpec, random *rand.Rand) {
		spec.Template.Labels = selected(spec)
		spec.Template.Labels[Extra] = fmt.Sprint(random.IntN(2))
	}},
	{"labels that the selector does not match", "labels", false, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) {
		spec.Template.Labels = map[string]string{Extra: "1"}
	}},
	{"the default service account", "account", true, account("")},
	{"a service account that does not exist", "account", false, account("missing")},
	{"no priority class", "priority", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.Template.Spec.PriorityClassName = "" }},
	{"a priority class that does not exist", "priority", false, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.Template.Spec.PriorityClassName = "missing" }},
	{"small requests", "requests", true, request("10m")},
	{"requests that no node has", "requests", false, request("1000")},
	{"all nodes", "nodes", true, nodesWith(nil)},
	{"nodes of a label", "nodes", true, nodesWith(map[string]string{Disk: SSD})},
	{"no node", "nodes", true, nodesWith(map[string]string{"nowhere": "1"})},
	{"no toleration", "tolerations", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.Template.Spec.Tolerations = nil }},
	{"a toleration", "tolerations", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) {
		spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: Special, Operator: corev1.TolerationOpExists}}
	}},
	{"one unavailable", "strategy", true, rolling(intstr.FromInt32(1), intstr.FromInt32(0))},
	{"all unavailable", "strategy", true, rolling(intstr.FromString("100%"), intstr.FromInt32(0))},
	{"a surge", "strategy", true, rolling(intstr.FromInt32(0), intstr.FromString("50%"))},
	{"no budget at all", "strategy", false, rolling(intstr.FromInt32(0), intstr.FromInt32(0))},
	{"OnDelete", "strategy", false, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { // valid, but pods stay stale
		spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
	}},
	{"ready at once", "ready", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.MinReadySeconds = 0 }},
	{"ready after a second", "ready", true, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.MinReadySeconds = 1 }},
	{"ready never", "ready", false, func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.MinReadySeconds = 100_000 }},
}

// Sequence returns n random edits, and those that make every part valid again that they leave invalid.
func Sequence(random *rand.Rand, n int) []Edit {
	var edits []Edit
	last := map[string]Edit{}
	for range n {
		edit := all[random.IntN(len(all))]
		edits = append(edits, edit)
		last[edit.Part] = edit
	}
	for _, restore := range all {
		if edit, set := last[restore.Part]; set && !edit.Valid {
			edits = append(edits, restore)
			last[restore.Part] = restore
		}
	}
	return edits
}

// selected are the labels that the selector requires.
func selected(spec *v1alpha1.DaemonSetSpec) map[string]string {
	labels := map[string]string{}
	for key, value := range spec.Selector.MatchLabels {
		labels[key] = value
	}
	return labels
}

func request(cpu string) func(*v1alpha1.DaemonSetSpec, *rand.Rand) {
	return func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) {
		spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
}

// account also sets the deprecated field, to which apps/v1 copies the name.
func account(name string) func(*v1alpha1.DaemonSetSpec, *rand.Rand) {
	return func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) {
		spec.Template.Spec.ServiceAccountName, spec.Template.Spec.DeprecatedServiceAccount = name, name
	}
}

func nodesWith(labels map[string]string) func(*v1alpha1.DaemonSetSpec, *rand.Rand) {
	return func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) { spec.Template.Spec.NodeSelector = labels }
}

func rolling(unavailable, surge intstr.IntOrString) func(*v1alpha1.DaemonSetSpec, *rand.Rand) {
	return func(spec *v1alpha1.DaemonSetSpec, _ *rand.Rand) {
		spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{
			Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &unavailable, MaxSurge: &surge},
		}
	}
}

// Eligible reports whether a node with these labels and taints gets a pod of a spec that only edits of this package changed. It is written
// independently of the product's rules. A node that does not tolerate the template any more keeps a pod that it has (NoSchedule).
func Eligible(spec *v1alpha1.DaemonSetSpec, node *corev1.Node) bool {
	for key, value := range spec.Template.Spec.NodeSelector {
		if node.Labels[key] != value {
			return false
		}
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == Special && len(spec.Template.Spec.Tolerations) == 0 {
			return false
		}
	}
	return true
}

// Stale returns why a pod does not have the template of a spec, "" if it has.
func Stale(spec *v1alpha1.DaemonSetSpec, pod *corev1.Pod) string {
	template := &spec.Template
	for what, pair := range map[string][2]string{
		"image":           {template.Spec.Containers[0].Image, pod.Spec.Containers[0].Image},
		"note":            {template.Annotations[Note], pod.Annotations[Note]},
		"label":           {template.Labels[Extra], pod.Labels[Extra]},
		"requests":        {template.Spec.Containers[0].Resources.Requests.Cpu().String(), pod.Spec.Containers[0].Resources.Requests.Cpu().String()},
		"node selector":   {fmt.Sprint(template.Spec.NodeSelector), fmt.Sprint(pod.Spec.NodeSelector)},
		"own tolerations": {fmt.Sprint(len(template.Spec.Tolerations)), fmt.Sprint(ownTolerations(pod))},
	} {
		if pair[0] != pair[1] {
			return fmt.Sprintf("%s %q, want %q", what, pair[1], pair[0])
		}
	}
	return ""
}

func ownTolerations(pod *corev1.Pod) (n int) {
	for _, toleration := range pod.Spec.Tolerations {
		if toleration.Key == Special {
			n++
		}
	}
	return n
}
