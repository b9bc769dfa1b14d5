package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"pgregory.net/rapid"
)

func blueTerm(values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "tenant", Operator: corev1.NodeSelectorOpIn, Values: values}}}
}

// storedPod is what admission makes of a pod that is emitted for node n1.
func storedPod(change ...func(*corev1.PodSpec)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "agent-n1"}}
	AddTolerations(&pod.Spec)
	for _, c := range change {
		c(&pod.Spec)
	}
	Pin(&pod.Spec, "n1")
	return pod
}

func withTerms(terms ...corev1.NodeSelectorTerm) func(*corev1.PodSpec) {
	return func(spec *corev1.PodSpec) { spec.Affinity = required(terms...) }
}

func TestPlacementThatExcludesItsNode(t *testing.T) {
	blue := map[string]string{"tenant": "blue"}
	selector := func(spec *corev1.PodSpec) { spec.NodeSelector = blue }
	drained := []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
	tests := map[string]struct {
		pod    *corev1.Pod
		labels map[string]string
		taints []corev1.Taint
		want   string // a part of the reason; "" when the node is not excluded
	}{
		"the pin alone":                        {pod: storedPod()},
		"a nodeSelector that matches":          {pod: storedPod(selector), labels: blue},
		"a nodeSelector that does not":         {pod: storedPod(selector), labels: map[string]string{"tenant": "red"}, want: "nodeSelector tenant=blue"},
		"a nodeSelector of a missing label":    {pod: storedPod(selector), want: "nodeSelector tenant=blue"},
		"a term that matches":                  {pod: storedPod(withTerms(blueTerm("green", "blue"))), labels: blue},
		"a term that does not":                 {pod: storedPod(withTerms(blueTerm("blue"))), want: "required node affinity"},
		"one of two terms":                     {pod: storedPod(withTerms(blueTerm("blue"), blueTerm("red"))), labels: map[string]string{"tenant": "red"}},
		"a term for this node, and another":    {pod: storedPod(withTerms(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}}, blueTerm("blue")))},
		"a term for another node":              {pod: storedPod(withTerms(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n2")}})), want: "required node affinity"},
		"a term that does not parse":           {pod: storedPod(withTerms(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "tenant", Operator: "Near"}}})), want: "required node affinity"},
		"an empty term":                        {pod: storedPod(withTerms(corev1.NodeSelectorTerm{})), want: "required node affinity"},
		"a drained node, which daemons endure": {pod: storedPod(), taints: drained},
		"tolerations that were taken away":     {pod: storedPod(func(spec *corev1.PodSpec) { spec.Tolerations = nil }), taints: drained, want: "taint node.kubernetes.io/unschedulable"},
		"a taint that only prefers":            {pod: storedPod(), taints: []corev1.Taint{{Key: "slow", Effect: corev1.TaintEffectPreferNoSchedule}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var placements Placements
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: test.labels}, Spec: corev1.NodeSpec{Taints: test.taints}}
			why, excluded := placements.Of(test.pod, "n1").Excludes(node)
			if excluded != (test.want != "") || !strings.Contains(why, test.want) || strings.Contains(why, "n1") {
				t.Errorf("excluded: %v, %q; want %q", excluded, why, test.want)
			}
		})
	}
}

// What the scheduler's NodeAffinity decides is the oracle.
func TestPlacementAgreesWithTheScheduler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, pod := drawNode(t), &corev1.Pod{Spec: drawSpec(t)}
		pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		Pin(&pod.Spec, node.Name)
		if _, pinned := PinnedNode(&pod.Spec); !pinned && len(requiredTerms(&pod.Spec)) == 0 {
			t.Skip("required affinity without terms, which the API server refuses")
		}
		want, _ := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
		var placements Placements
		why, excluded := placements.Of(pod, node.Name).Excludes(node)
		if excluded == want {
			t.Fatalf("excluded: %v (%s), the scheduler answers %v\nnode: %+v\nspec: %+v", excluded, why, want, node, pod.Spec)
		}
	})
}

// Pods for different nodes share what they ask for, however many there are, and what is kept to be shared is bounded.
func TestPlacementsAreShared(t *testing.T) {
	var placements Placements
	first := storedPod(withTerms(blueTerm("blue")))
	other := &corev1.Pod{Spec: *first.Spec.DeepCopy()}
	other.Spec.Affinity = required(blueTerm("blue"))
	Pin(&other.Spec, "n2")
	if a, b := placements.Of(first, "n1"), placements.Of(other, "n2"); a != b {
		t.Error("pods that ask for the same do not share it")
	}
	if a, b := placements.Of(first, "n1"), placements.Of(storedPod(), "n1"); a == b {
		t.Error("pods that ask for something else share it")
	}
	for i := range 3 * sharedPlacements {
		placements.Of(storedPod(withTerms(blueTerm(fmt.Sprint(i)))), "n1")
	}
	if len(placements.known) > sharedPlacements || placements.size > sharedBytes {
		t.Errorf("%d placements of %d bytes are kept", len(placements.known), placements.size)
	}
}

// A pod of more terms than a template may have costs a look at their number.
func TestLargePlacementsAreNotJudged(t *testing.T) {
	terms := make([]corev1.NodeSelectorTerm, MaxRequirements)
	for i := range terms {
		terms[i] = blueTerm("red")
	}
	tolerations := func(spec *corev1.PodSpec) { spec.Tolerations = make([]corev1.Toleration, MaxRequirements+1) }
	var placements Placements
	for name, pod := range map[string]*corev1.Pod{"terms": storedPod(withTerms(terms...)), "tolerations": storedPod(tolerations)} {
		if placement := placements.Of(pod, "n1"); placement != nil {
			t.Errorf("%s: it is judged", name)
		}
	}
	if diff := cmp.Diff(0, len(placements.known)); diff != "" {
		t.Errorf("kept (-want, +got):\n%s", diff)
	}
}
