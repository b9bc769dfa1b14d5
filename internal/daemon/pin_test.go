package daemon

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/kubernetes/pkg/controller/daemon/util"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
)

func field(operator corev1.NodeSelectorOperator, names ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: operator, Values: names}
}

func required(terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

func owner(apiVersion, kind string, controller bool) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "d", UID: "uid-d", Controller: &controller}}
}

func TestRewrite(t *testing.T) {
	ssd := corev1.NodeSelectorRequirement{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"ssd"}}
	gates := func(names ...string) (gates []corev1.PodSchedulingGate) {
		for _, name := range names {
			gates = append(gates, corev1.PodSchedulingGate{Name: name})
		}
		return gates
	}
	placed := metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.PlacedByAnnotation: v1alpha1.PlacedByWebhook}}

	tests := map[string]struct {
		pod  corev1.Pod
		want *corev1.Pod // nil: unchanged
	}{
		"a pod without nodeName is left alone": {
			pod: corev1.Pod{Spec: corev1.PodSpec{SchedulingGates: gates(v1alpha1.PlacementGate)}},
		},
		"no affinity: one term is made": {
			pod:  corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1"}},
			want: &corev1.Pod{ObjectMeta: placed, Spec: corev1.PodSpec{Affinity: required(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}})}},
		},
		"required affinity without terms stays, for the API server to refuse": {
			pod:  corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", Affinity: required()}},
			want: &corev1.Pod{ObjectMeta: placed, Spec: corev1.PodSpec{Affinity: required()}},
		},
		"other affinity stays": {
			pod: corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}}}},
			want: &corev1.Pod{ObjectMeta: placed, Spec: corev1.PodSpec{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{},
				NodeAffinity: required(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}}).NodeAffinity}}},
		},
		"a pod that no daemon owns keeps its scheduler": {
			pod: corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", SchedulerName: "example"}},
			want: &corev1.Pod{ObjectMeta: placed, Spec: corev1.PodSpec{SchedulerName: "example",
				Affinity: required(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}})}},
		},
		"every term gets the pin, one that has it keeps it": {
			pod: corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", Affinity: required(
				corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{ssd}},
				corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}},
				corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("NotIn", "n2")}},
			)}},
			want: &corev1.Pod{ObjectMeta: placed, Spec: corev1.PodSpec{Affinity: required(
				corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{ssd}, MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}},
				corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}},
				corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1"), field("NotIn", "n2")}},
			)}},
		},
		"only our gate goes": {
			pod:  corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", SchedulingGates: gates("example.com/wait", v1alpha1.PlacementGate)}},
			want: &corev1.Pod{ObjectMeta: placed, Spec: corev1.PodSpec{SchedulingGates: gates("example.com/wait"), Affinity: required(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}})}},
		},
		"a daemon's pod goes to our scheduler": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: owner("apps/v1", "DaemonSet", true)}, Spec: corev1.PodSpec{NodeName: "n1", SchedulerName: "default-scheduler"}},
			want: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: placed.Annotations, OwnerReferences: owner("apps/v1", "DaemonSet", true)},
				Spec: corev1.PodSpec{SchedulerName: v1alpha1.SchedulerName, Affinity: required(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1")}})}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.pod.DeepCopy()
			changed, err := Rewrite(got, v1alpha1.PlacedByWebhook)
			if err != nil {
				t.Fatalf("Rewrite: %v", err)
			}
			want := test.want
			if want == nil {
				want = &test.pod
			}
			if changed != (test.want != nil) {
				t.Errorf("changed = %v, want %v", changed, test.want != nil)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pod (-want, +got):\n%s", diff)
			}
			if changed, err := Rewrite(got, v1alpha1.PlacedByWebhook); changed || err != nil {
				t.Errorf("a second Rewrite: changed %v, error %v, want neither", changed, err)
			}
		})
	}
}

func TestRewriteRefusesAContradiction(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", Affinity: required(
		corev1.NodeSelectorTerm{},
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1"), field("In", "n3")}},
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n2")}},
	)}}
	before := pod.DeepCopy()
	changed, err := Rewrite(pod, v1alpha1.PlacedByWebhook)
	var contradiction *ContradictoryPinError
	if changed || !errors.As(err, &contradiction) {
		t.Fatalf("Rewrite = %v, %v; want a *ContradictoryPinError", changed, err)
	}
	if diff := cmp.Diff(&ContradictoryPinError{NodeName: "n1", Pinned: "n2"}, contradiction); diff != "" {
		t.Errorf("error (-want, +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Errorf("the refused pod changed:\n%s", diff)
	}
}

// What is rewritten is found to be pinned, and what would not be is refused: terms and matchFields are bounded.
func TestRewriteRefusesWhatWouldNotBeFound(t *testing.T) {
	terms := func(n, fields int) []corev1.NodeSelectorTerm {
		terms := make([]corev1.NodeSelectorTerm, n)
		for i := range terms {
			terms[i].MatchExpressions = []corev1.NodeSelectorRequirement{field("Exists")}
		}
		terms[0].MatchFields = slices.Repeat([]corev1.NodeSelectorRequirement{field("NotIn", "n2")}, fields)
		return terms
	}
	tests := map[string]struct {
		terms   []corev1.NodeSelectorTerm
		refused bool
	}{
		"as many terms as may be":       {terms: terms(maxLooked/2, 0)},
		"one term more":                 {terms: terms(maxLooked/2+1, 0), refused: true},
		"as many matchFields as may be": {terms: terms(1, maxLooked-2)},
		"one matchField more":           {terms: terms(1, maxLooked-1), refused: true},
		"of both one more":              {terms: terms(maxLooked/4, maxLooked/2+1), refused: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", Affinity: required(test.terms...)}}
			changed, err := Rewrite(pod, v1alpha1.PlacedByWebhook)
			var oversized *OversizedAffinityError
			if changed == test.refused || errors.As(err, &oversized) != test.refused {
				t.Fatalf("Rewrite = %v, %v; want it refused: %v", changed, err, test.refused)
			}
			if node, ok := PinnedNode(&pod.Spec); ok == test.refused || !test.refused && node != "n1" {
				t.Errorf("PinnedNode = %q, %v", node, ok)
			}
		})
	}
}

// Terms are ORed: one that asks for another node rules nothing out while another term is left.
func TestRewriteKeepsTermsOfOtherNodes(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1", Affinity: required(
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n2")}},
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("NotIn", "n3")}},
	)}}
	if _, err := Rewrite(pod, v1alpha1.PlacedByWebhook); err != nil {
		t.Fatal(err)
	}
	want := required(
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1"), field("In", "n2")}},
		corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field("In", "n1"), field("NotIn", "n3")}},
	)
	if diff := cmp.Diff(want, pod.Spec.Affinity); diff != "" {
		t.Errorf("affinity (-want, +got):\n%s", diff)
	}
	if got, ok := Target(pod); !ok || got != "n1" {
		t.Errorf("Target = %q, %v, want n1", got, ok)
	}
}

// Where a pod waits for is known to kube-controller-manager too, should it get the pod.
func TestRewriteTellsUpstreamTheTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := &corev1.Pod{Spec: drawSpec(t)}
		pod.Spec.Affinity = drawAffinity(t)
		pod.Spec.NodeName = "n1"
		if _, err := Rewrite(pod, v1alpha1.PlacedByController); err != nil {
			return
		}
		target, ours := Target(pod)
		if upstreams, err := util.GetTargetNodeName(pod); (err == nil) != ours || upstreams != target {
			t.Fatalf("the target is %q (%v), upstream reads %q (%v) in %+v", target, ours, upstreams, err, pod.Spec.Affinity)
		}
	})
}

// After Rewrite the affinity matches the named node exactly when it did before, and no other.
func TestRewriteNarrowsToTheNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, spec := drawNode(t), drawSpec(t)
		matches := func(spec *corev1.PodSpec) bool {
			match, _ := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *spec}).Match(node)
			return match
		}
		want := matches(&spec) && node.Name == "n1"
		spec.NodeName = "n1"
		pod := &corev1.Pod{Spec: spec}
		if _, err := Rewrite(pod, v1alpha1.PlacedByWebhook); err != nil {
			t.Skip("a contradiction is refused")
		}
		if got := matches(&pod.Spec); got != want {
			t.Fatalf("matches %s = %v, want %v\naffinity: %+v", node.Name, got, want, pod.Spec.Affinity)
		}
	})
}

func TestTarget(t *testing.T) {
	term := func(fields ...corev1.NodeSelectorRequirement) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchFields: fields}
	}
	tests := map[string]struct {
		spec corev1.PodSpec
		want string // "": none
	}{
		"nothing":                 {},
		"nodeName":                {spec: corev1.PodSpec{NodeName: "n1"}, want: "n1"},
		"nodeName before the pin": {spec: corev1.PodSpec{NodeName: "n1", Affinity: required(term(field("In", "n2")))}, want: "n1"},
		"one term":                {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1")))}, want: "n1"},
		"every term the same":     {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1")), term(field("In", "n1")))}, want: "n1"},
		"a term that is free": {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1")),
			corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a", Operator: corev1.NodeSelectorOpExists}}})}},
		"a term that matches nothing":  {spec: corev1.PodSpec{Affinity: required(corev1.NodeSelectorTerm{}, term(field("In", "n1")))}, want: "n1"},
		"no term that matches":         {spec: corev1.PodSpec{Affinity: required(corev1.NodeSelectorTerm{})}},
		"a term with another pin too":  {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1")), term(field("In", "n2"), field("In", "n1")))}, want: "n1"},
		"the same pin twice":           {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1"), field("In", "n1")))}, want: "n1"},
		"terms that differ":            {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1")), term(field("In", "n2")))}},
		"two values":                   {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1", "n2")))}},
		"NotIn is no pin":              {spec: corev1.PodSpec{Affinity: required(term(field("NotIn", "n1")))}},
		"pins that exclude each other": {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1"), field("In", "n2")))}},
		"only terms with two pins":     {spec: corev1.PodSpec{Affinity: required(term(field("In", "n1"), field("In", "n2")), term(field("In", "n1"), field("In", "n3")))}},
		"a term with two other pins":   {spec: corev1.PodSpec{Affinity: required(term(field("In", "n2"), field("In", "n3")), term(field("In", "n1")))}, want: "n1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := Target(&corev1.Pod{Spec: test.spec})
			if got != test.want && ok || ok != (test.want != "") {
				t.Errorf("Target = %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func TestOwnedByDaemon(t *testing.T) {
	tests := map[string]struct {
		owners []metav1.OwnerReference
		want   bool
	}{
		"no node":               {},
		"ours":                  {owners: owner("everynode.dev/v1alpha1", "DaemonSet", true), want: true},
		"ours, a later version": {owners: owner("everynode.dev/v1", "DaemonSet", true), want: true},
		"native":                {owners: owner("apps/v1", "DaemonSet", true), want: true},
		"another group's":       {owners: owner("apps.kruise.io/v1alpha1", "DaemonSet", true)},
		"group without version": {owners: owner("apps", "DaemonSet", true)},
		"another kind":          {owners: owner("apps/v1", "ReplicaSet", true)},
		"owner, not controller": {owners: owner("apps/v1", "DaemonSet", false)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := OwnedByDaemon(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: test.owners}})
			if got != test.want {
				t.Errorf("OwnedByDaemon = %v, want %v", got, test.want)
			}
		})
	}
}

func TestNewPod(t *testing.T) {
	controller := true
	template := &Template{
		Owner:     metav1.OwnerReference{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "agent", UID: "uid-d", Controller: &controller},
		Namespace: "ns", Name: "agent", Revision: "abc",
		Pod: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}, Annotations: map[string]string{"note": "x"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}, SchedulerName: "default-scheduler"},
		},
	}
	before := template.Pod.DeepCopy()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-n1"}}
	got := NewPod(template, node, "agent-n1-x")
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "agent-n1-x", Namespace: "ns",
			Labels:          map[string]string{"app": "agent", "controller-revision-hash": "abc"},
			Annotations:     map[string]string{"note": "x", v1alpha1.NodeUIDAnnotation: "uid-n1", v1alpha1.DaemonPodAnnotation: "true"},
			OwnerReferences: []metav1.OwnerReference{template.Owner},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c"}}, NodeName: "n1", SchedulerName: v1alpha1.SchedulerName,
			SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.PlacementGate}},
			Tolerations:     withDaemonTolerations(nil, false),
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("pod (-want, +got):\n%s", diff)
	}
	got.Labels["app"], got.Annotations["note"], got.Spec.Containers[0].Name = "other", "other", "other"
	if diff := cmp.Diff(before, &template.Pod); diff != "" {
		t.Errorf("changing the pod changed its template:\n%s", diff)
	}
}
