package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // defaults of pods
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

var restricted = api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}

// podViolations returns the controls of Pod Security "restricted" that the pods of a Deployment
// violate, by Kubernetes' own evaluator.
func podViolations(t *testing.T, deployment objects, name string) []string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var typed appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(deployment[name].Object, &typed, true); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	pod := &corev1.Pod{ObjectMeta: typed.Spec.Template.ObjectMeta, Spec: typed.Spec.Template.Spec}
	legacyscheme.Scheme.Default(pod) // as the API server does before admission: in the host network ports are host ports
	var violations []string
	for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			violations = append(violations, result.ForbiddenReason)
		}
	}
	slices.Sort(violations)
	return violations
}

// checkPodSecurity verifies that every pod satisfies "restricted"; those of bootstrap may violate the necessary controls.
func checkPodSecurity(t *testing.T, rendered objects) {
	t.Helper()
	for name, object := range rendered {
		if object.GetKind() != "Deployment" {
			continue
		}
		var want []string
		if rendered.field(t, name+" {.spec.template.spec.hostNetwork}") == "true" {
			want = []string{"host namespaces", "probe or lifecycle host"}
			if name == "Deployment/everynode-controller" { // whose port a successor waits for
				want = []string{"host namespaces", "hostPort", "probe or lifecycle host"}
			}
		}
		if diff := cmp.Diff(want, podViolations(t, rendered, name)); diff != "" {
			t.Errorf("%s: violations of Pod Security restricted (-want, +got):\n%s", name, diff)
		}
	}
}

// Every container is restricted further than "restricted" requires, whatever the values.
func TestContainersAreRestricted(t *testing.T) {
	for _, options := range [][]string{nil, setting("bootstrap.enabled=true"), setting("certificates.source=files", "certificates.secretName=mine")} {
		_, rendered := render(t, options...)
		for _, part := range parts {
			pod := "Deployment/everynode-" + part + " "
			want := map[string]string{
				"{.spec.template.spec.securityContext.runAsNonRoot}":                         "true",
				"{.spec.template.spec.securityContext.seccompProfile.type}":                  "RuntimeDefault",
				"{.spec.template.spec.containers[*].securityContext.readOnlyRootFilesystem}": "true",
				"{.spec.template.spec.priorityClassName}":                                    "system-cluster-critical",
				"{.spec.template.spec.topologySpreadConstraints[*].topologyKey}":             "kubernetes.io/hostname topology.kubernetes.io/zone",
			}
			for path, text := range want {
				if got := rendered.field(t, pod+path); got != text {
					t.Errorf("%v: %s%s is %q, want %q", options, pod, path, got, text)
				}
			}
			for _, probe := range []string{"livenessProbe", "readinessProbe"} {
				if got := rendered.field(t, pod+"{.spec.template.spec.containers[*]."+probe+".httpGet.path}"); got == "" {
					t.Errorf("%v: %shas no %s", options, pod, probe)
				}
			}
		}
	}
}

// Bootstrap does not change the webhook, which waits for the network.
func TestBootstrapDoesNotChangeTheWebhook(t *testing.T) {
	_, rendered := render(t, setting("bootstrap.enabled=true", "namespace.create=true")...)
	if got := podViolations(t, rendered, "Deployment/everynode-webhook"); len(got) > 0 {
		t.Errorf("the webhook violates %s", strings.Join(got, ", "))
	}
	if got := rendered.field(t, `Namespace/everynode-system {.metadata.labels.pod-security\.kubernetes\.io/enforce}`); got != "privileged" {
		t.Errorf("the namespace enforces %q, which refuses the pods", got)
	}
}
