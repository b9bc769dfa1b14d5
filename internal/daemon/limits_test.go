package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/internal/hostile"
)

// Whatever a pod holds, each term and each matchField is looked at once at most, and no more than a bound.
func TestPinnedNodeLooksOnce(t *testing.T) {
	for _, kind := range hostile.Kinds() {
		terms := requiredTerms(&hostile.PodOf(kind, 2*maxLooked).Spec)
		elements := len(terms)
		for i := range terms {
			elements += len(terms[i].MatchFields)
		}
		if _, _, looked := pinnedNode(terms); looked > min(elements, maxLooked+2) {
			t.Errorf("of a pod of %s %d terms and matchFields are looked at, want at most %d and %d", kind, looked, elements, maxLooked+2)
		}
	}
}

// Two different names settle a term, and two terms the question.
func TestTwoNamesSettleTheTarget(t *testing.T) {
	fields := func(from int) (fields []corev1.NodeSelectorRequirement) {
		for i := range 20_000 {
			fields = append(fields, field("In", fmt.Sprintf("n%d", from+i)))
		}
		return fields
	}
	many := func(term corev1.NodeSelectorTerm) []corev1.NodeSelectorTerm {
		return slices.Repeat([]corev1.NodeSelectorTerm{term}, 5_000)
	}
	pin := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}}
	other := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n2")}}
	tests := map[string]struct {
		terms []corev1.NodeSelectorTerm
		want  int
	}{
		"two terms of many names": {[]corev1.NodeSelectorTerm{{MatchFields: fields(0)}, {MatchFields: fields(100_000)}}, 6},
		"many terms that differ":  {slices.Concat([]corev1.NodeSelectorTerm{pin}, many(other)), 4},
		"many terms, one free":    {slices.Concat([]corev1.NodeSelectorTerm{{MatchExpressions: fields(0)}}, many(pin)), 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if node, ok, looked := pinnedNode(test.terms); ok || looked > test.want {
				t.Errorf("pinnedNode = %q, %v after %d looks, want none after %d at most", node, ok, looked, test.want)
			}
		})
	}
}

// What a template that is served may have is found again in its pods, each term with a pin.
func TestPodsOfTheLargestTemplateArePinned(t *testing.T) {
	terms := make([]corev1.NodeSelectorTerm, MaxRequirements/3)
	for i := range terms {
		terms[i].MatchFields = []corev1.NodeSelectorRequirement{field("NotIn", "n2")}
	}
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Affinity: required(terms...)}}
	if err := CheckTemplate(template); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{Spec: template.Spec}
	pod.Spec.NodeName = "n1"
	if _, err := Rewrite(pod, "test"); err != nil {
		t.Fatal(err)
	}
	if node, ok := Target(pod); !ok || node != "n1" {
		t.Errorf("Target = %q, %v, want n1", node, ok)
	}
}

// The pins of all terms share an array; none shows through in another.
func TestPinnedTermsShareNothingThatGrows(t *testing.T) {
	spec := &corev1.PodSpec{Affinity: required(
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("NotIn", "n2")}},
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("NotIn", "n3")}},
	)}
	Pin(spec, "n1")
	terms := requiredTerms(spec)
	terms[0].MatchFields = append(terms[0].MatchFields, field("NotIn", "n4"))
	if got := terms[1].MatchFields[0]; !pinsTo(&got, "n1") {
		t.Errorf("the second term begins with %v, want the pin", got)
	}
}

func TestPinAllocatesOnce(t *testing.T) {
	terms := make([]corev1.NodeSelectorTerm, 5_000)
	for i := range terms {
		terms[i].MatchExpressions = []corev1.NodeSelectorRequirement{{Key: "a", Operator: corev1.NodeSelectorOpExists}}
	}
	allocations := testing.AllocsPerRun(5, func() {
		spec := &corev1.PodSpec{Affinity: required(slices.Clone(terms)...)}
		Pin(spec, "n1")
	})
	if allocations > 10 {
		t.Errorf("pinning 5,000 terms makes %v allocations, want one for all", allocations)
	}
}

func TestCheckTemplate(t *testing.T) {
	hostiles := map[string]string{
		"terms of nothing": "nodeSelector", "terms": "nodeSelector", "terms with labels": "nodeSelector",
		"matchFields of one node": "nodeSelector", "matchFields of other nodes": "nodeSelector", "matchFields that exclude": "nodeSelector",
		"matchExpressions": "nodeSelector", "values": "nodeSelector", "nodeSelector": "nodeSelector", "tolerations": "tolerations",
	}
	for _, kind := range hostile.Kinds() {
		err := CheckTemplate(hostile.TemplateOf(kind, MaxRequirements+1))
		if want := hostiles[kind]; (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("CheckTemplate of a template of %s = %v, want an error about %q", kind, err, want)
		}
	}
	names := make([]string, 5_000)
	for i := range names {
		names[i] = fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", i/256, i%256)
	}
	listed := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Affinity: required(corev1.NodeSelectorTerm{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: names}},
	})}}
	if err := CheckTemplate(listed); err != nil {
		t.Errorf("a list of 5,000 nodes is refused: %v", err)
	}
}

func TestCheckSelector(t *testing.T) {
	labels := func(n int) map[string]string {
		set := map[string]string{}
		for i := range n {
			set[fmt.Sprint(i)] = ""
		}
		return set
	}
	tests := map[string]struct {
		selector *metav1.LabelSelector
		refused  bool
	}{
		"none":        {},
		"one label":   {selector: &metav1.LabelSelector{MatchLabels: labels(1)}},
		"the most":    {selector: &metav1.LabelSelector{MatchLabels: labels(MaxSelector)}},
		"more labels": {selector: &metav1.LabelSelector{MatchLabels: labels(MaxSelector + 1)}, refused: true},
		"more values": {selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Values: make([]string, MaxSelector)}}}, refused: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := CheckSelector(test.selector); (err != nil) != test.refused {
				t.Errorf("CheckSelector = %v, want an error: %v", err, test.refused)
			}
		})
	}
}

// Whatever list or map of a template is long, a template with too many elements is refused, and one that is a fraction
// as large is served.
func TestElementsOfTemplatesAreBounded(t *testing.T) {
	for _, kind := range hostile.Kinds() {
		switch kind {
		case "an argument", "ownerReferences", "annotations": // a text; no part of a template that is kept; 256 KiB in all
			continue
		}
		if CheckTemplate(hostile.TemplateOf(kind, MaxElements+1)) == nil {
			t.Errorf("a template of %d %s is served", MaxElements+1, kind)
		}
		if err := CheckTemplate(hostile.TemplateOf(kind, MaxRequirements/5)); err != nil {
			t.Errorf("a template of %d %s: %v", MaxRequirements/5, kind, err)
		}
	}
}
