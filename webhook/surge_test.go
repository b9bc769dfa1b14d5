package webhook

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

func avoiding(terms ...corev1.PodAffinityTerm) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}}
	}
}

func TestSurgeThatNeverFitsIsWarnedOf(t *testing.T) {
	term := func(change ...func(*corev1.PodAffinityTerm)) corev1.PodAffinityTerm {
		term := corev1.PodAffinityTerm{TopologyKey: "kubernetes.io/hostname", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}}
		for _, c := range change {
			c(&term)
		}
		return term
	}
	selecting := func(selector *metav1.LabelSelector) corev1.PodAffinityTerm {
		return term(func(term *corev1.PodAffinityTerm) { term.LabelSelector = selector })
	}
	in := func(selector *metav1.LabelSelector, namespaces ...string) corev1.PodAffinityTerm {
		return term(func(term *corev1.PodAffinityTerm) { term.NamespaceSelector, term.Namespaces = selector, namespaces })
	}
	keys := func(match, mismatch []string) corev1.PodAffinityTerm {
		return term(func(term *corev1.PodAffinityTerm) { term.MatchLabelKeys, term.MismatchLabelKeys = match, mismatch })
	}
	exists := func(key string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpExists}}}
	}
	tests := map[string]struct {
		terms []corev1.PodAffinityTerm
		want  []string
	}{
		"its own labels":                                     {[]corev1.PodAffinityTerm{term()}, []string{"podAntiAffinity term 0 with maxSurge"}},
		"its own labels, in the second term":                 {[]corev1.PodAffinityTerm{selecting(exists("other")), term()}, []string{"term 1 with maxSurge"}},
		"every pod":                                          {[]corev1.PodAffinityTerm{selecting(&metav1.LabelSelector{})}, []string{"term 0 with maxSurge"}},
		"other labels":                                       {[]corev1.PodAffinityTerm{selecting(exists("other"))}, nil},
		"pods with a revision":                               {[]corev1.PodAffinityTerm{selecting(exists("controller-revision-hash"))}, nil},
		"its own namespace":                                  {[]corev1.PodAffinityTerm{in(nil, "other", "ns")}, []string{"term 0 with maxSurge"}},
		"another namespace":                                  {[]corev1.PodAffinityTerm{in(nil, "other")}, nil},
		"every namespace":                                    {[]corev1.PodAffinityTerm{in(&metav1.LabelSelector{}, "other")}, []string{"term 0 with maxSurge"}},
		"namespaces by labels":                               {[]corev1.PodAffinityTerm{in(exists("team"))}, nil},
		"namespaces by labels, and its own":                  {[]corev1.PodAffinityTerm{in(exists("team"), "ns")}, []string{"term 0 with maxSurge"}},
		"pods of its revision":                               {[]corev1.PodAffinityTerm{keys([]string{"controller-revision-hash"}, nil)}, nil},
		"pods of its version label":                          {[]corev1.PodAffinityTerm{keys([]string{"app"}, nil)}, []string{"term 0 with maxSurge"}},
		"pods of another app, by the key":                    {[]corev1.PodAffinityTerm{keys(nil, []string{"app"})}, nil},
		"pods of another revision, by the key":               {[]corev1.PodAffinityTerm{keys(nil, []string{"controller-revision-hash"})}, []string{"term 0 with maxSurge"}},
		"mismatchLabelKeys of a label that it does not have": {[]corev1.PodAffinityTerm{keys(nil, []string{"other"})}, []string{"term 0 with maxSurge"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			warnings := func(change ...func(*v1alpha1.DaemonSet)) []string {
				response := validated(t, createSet(encode(t, validSet(append(change, avoiding(test.terms...))...))))
				if !response.Allowed {
					t.Fatalf("refused: %+v", response.Result)
				}
				return response.Warnings
			}
			checkWarnings(t, warnings(surge), test.want...)
			for _, warning := range warnings() {
				if strings.Contains(warning, "maxSurge") {
					t.Errorf("without maxSurge: %s", warning)
				}
			}
		})
	}
}

// Ports of containers that restart as long as the pod runs are its own too.
func TestSurgeWithThePortOfASidecar(t *testing.T) {
	sidecar := func(set *v1alpha1.DaemonSet) {
		always := corev1.ContainerRestartPolicyAlways
		set.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "side", Image: "registry.example.com/side:v1", RestartPolicy: &always,
			Ports: []corev1.ContainerPort{{ContainerPort: 9200, HostPort: 9200}}}}
	}
	checkWarnings(t, validated(t, createSet(encode(t, validSet(sidecar, surge)))).Warnings, "hostPort 9200 with maxSurge")
}
