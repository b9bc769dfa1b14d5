package policy

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

var (
	podKind     = corev1.SchemeGroupVersion.WithKind("Pod")
	podResource = corev1.SchemeGroupVersion.WithResource("pods")
)

// The namespaces of the pods: one without the label, two whose label opts in or has another value,
// and Everynode's own, which opts in and is excluded.
var namespaces = []*corev1.Namespace{
	newNamespace("plain", ""),
	newNamespace("asking", v1alpha1.PlacementScheduler),
	newNamespace("other", "false"),
	newNamespace(v1alpha1.SystemNamespace, v1alpha1.PlacementScheduler),
}

func newNamespace(name, placement string) *corev1.Namespace {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
	if placement != "" {
		namespace.Labels[v1alpha1.PlacementLabel] = placement
	}
	return namespace
}

func namespaceOptsIn(name string) bool {
	return slices.ContainsFunc(namespaces, func(namespace *corev1.Namespace) bool {
		return namespace.Name == name && namespace.Labels[v1alpha1.PlacementLabel] == v1alpha1.PlacementScheduler
	})
}

// optsIn is the rule, in Go, of which pods are placed.
func (r request) optsIn() bool {
	_, mirror := r.pod.Annotations[corev1.MirrorPodAnnotationKey]
	_, owned := daemon.OwnedByDaemon(r.pod)
	return r.namespace != v1alpha1.SystemNamespace && r.pod.Spec.NodeName != "" && !mirror && !slices.Contains(r.groups, "system:nodes") &&
		(owned || r.pod.Labels[v1alpha1.PlacementLabel] == v1alpha1.PlacementScheduler || namespaceOptsIn(r.namespace))
}

var (
	drawField = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{
			Key:      rapid.SampledFrom([]string{metav1.ObjectNameField, metav1.ObjectNameField, "metadata.namespace"}).Draw(t, "key"),
			Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists}).Draw(t, "operator"),
			Values:   rapid.SampledFrom([][]string{{"n1"}, {"n1"}, {"n2"}, {"n3"}, {"node/with~odd.name"}, nil, {"n1", "n2"}}).Draw(t, "values"),
		}
	})
	drawExpression = rapid.SampledFrom([]corev1.NodeSelectorRequirement{
		{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"ssd"}},
		{Key: "disk", Operator: corev1.NodeSelectorOpDoesNotExist},
		{Key: "size", Operator: corev1.NodeSelectorOpGt, Values: []string{"3"}},
		{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}, // a label of that name
	})
	drawTerm = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
		if rapid.IntRange(0, 2).Draw(t, "only a pin") == 0 {
			return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn,
				Values: []string{rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "pin")}}}}
		}
		return corev1.NodeSelectorTerm{
			MatchExpressions: rapid.SliceOfN(drawExpression, 0, 2).Draw(t, "matchExpressions"),
			MatchFields:      rapid.SliceOfN(drawField, 0, 2).Draw(t, "matchFields"),
		}
	})
	drawOwner = rapid.Custom(func(t *rapid.T) metav1.OwnerReference {
		return metav1.OwnerReference{
			APIVersion: rapid.SampledFrom([]string{"everynode.dev/v1alpha1", "everynode.dev/v1", "apps/v1", "apps/v1beta2", "apps", "apps.example.com/v1", "everynode.dev.example.com/v1", "v1"}).Draw(t, "apiVersion"),
			Kind:       rapid.SampledFrom([]string{"DaemonSet", "DaemonSet", "ReplicaSet"}).Draw(t, "kind"),
			Name:       "owner", UID: types.UID("uid"),
			Controller: rapid.SampledFrom([]*bool{nil, new(false), new(true), new(true)}).Draw(t, "controller"),
		}
	})
	drawGates = rapid.Custom(func(t *rapid.T) (gates []corev1.PodSchedulingGate) {
		for _, name := range rapid.SampledFrom([][]string{nil, nil, {v1alpha1.PlacementGate}, {"example.com/a"}, {v1alpha1.PlacementGate, "example.com/a"},
			{"example.com/a", v1alpha1.PlacementGate, "example.com/b"}, {v1alpha1.PlacementGate, v1alpha1.PlacementGate}}).Draw(t, "gates") {
			gates = append(gates, corev1.PodSchedulingGate{Name: name})
		}
		return gates
	})
)

// drawRequest draws the fields that the rewrite reads and writes, and some others. Pods need not be
// valid: admission has to give the same result for them.
var drawRequest = rapid.Custom(func(t *rapid.T) request {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "p",
			Labels:      drawLabels(t),
			Annotations: rapid.MapOfN(rapid.SampledFrom([]string{v1alpha1.PlacedByAnnotation, "a~1b/c", "d"}), rapid.SampledFrom([]string{"", "webhook", "\"quoted\" <&>"}), 0, 2).Draw(t, "annotations"),
		},
		Spec: corev1.PodSpec{
			NodeName:        rapid.SampledFrom([]string{"", "n1", "n1", "n1", "n2", "node/with~odd.name"}).Draw(t, "nodeName"),
			SchedulerName:   rapid.SampledFrom([]string{"", "other", v1alpha1.SchedulerName}).Draw(t, "schedulerName"),
			SchedulingGates: drawGates.Draw(t, "gates"),
			Affinity:        drawAffinity(t),
			Containers:      []corev1.Container{{Name: "c", Image: "example.com/c"}},
		},
	}
	if rapid.IntRange(0, 9).Draw(t, "mirror") == 0 {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, corev1.MirrorPodAnnotationKey, "hash")
	}
	owners := rapid.SliceOfN(drawOwner, 0, 2).Draw(t, "owners")
	if len(owners) == 2 && owners[0].Controller != nil && *owners[0].Controller {
		owners[1].Controller = nil // two controllers are refused
	}
	pod.OwnerReferences = owners
	r := request{
		namespace: rapid.SampledFrom(namespaces).Draw(t, "namespace").Name,
		groups:    rapid.SampledFrom([][]string{nil, {"system:authenticated"}, {"system:authenticated"}, {"system:node"}, {"system:nodes", "system:authenticated"}}).Draw(t, "groups"),
		username:  "somebody",
	}
	pod.Namespace = r.namespace
	r.pod = received(pod)
	return r
})

func drawLabels(t *rapid.T) map[string]string {
	return rapid.SampledFrom([]map[string]string{nil, {"app": "p"}, {v1alpha1.PlacementLabel: v1alpha1.PlacementScheduler}, {v1alpha1.PlacementLabel: v1alpha1.PlacementScheduler, "app": "p"}, {v1alpha1.PlacementLabel: "true"}}).Draw(t, "labels")
}

func drawAffinity(t *rapid.T) *corev1.Affinity {
	depth := rapid.IntRange(0, 7).Draw(t, "how much affinity")
	if depth == 0 {
		return nil
	}
	affinity := &corev1.Affinity{}
	if rapid.Bool().Draw(t, "pod affinity") {
		affinity.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "zone"}}}
	}
	if depth == 1 {
		return affinity
	}
	affinity.NodeAffinity = &corev1.NodeAffinity{}
	if rapid.Bool().Draw(t, "preference") {
		affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: drawTerm.Draw(t, "preferred")}}
	}
	if depth == 2 {
		return affinity
	}
	affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: rapid.SliceOfN(drawTerm, 0, 3).Draw(t, "terms"),
	}
	return affinity
}

// received returns a pod as the API server passes it to admission: decoded, with its defaults, and
// converted from its internal form.
func received(pod *corev1.Pod) *corev1.Pod {
	pod.TypeMeta = metav1.TypeMeta{}
	internal, got := &core.Pod{}, &corev1.Pod{}
	legacyscheme.Scheme.Default(pod)
	if err := legacyscheme.Scheme.Convert(pod, internal, nil); err != nil {
		panic(fmt.Sprintf("a pod has no internal form: %v", err))
	}
	if err := legacyscheme.Scheme.Convert(internal, got, nil); err != nil {
		panic(fmt.Sprintf("a pod has no form of v1: %v", err))
	}
	return got
}
