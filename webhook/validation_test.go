package webhook

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/everynode/everynode/api/v1alpha1"
)

// validSet is a DaemonSet that causes neither an error nor a warning.
func validSet(change ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	set := &v1alpha1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "agent"},
		Spec: v1alpha1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}},
				Spec: corev1.PodSpec{
					PriorityClassName: "system-node-critical",
					Containers:        []corev1.Container{{Name: "main", Image: "registry.example.com/agent:v1"}},
				},
			},
		},
	}
	for _, c := range change {
		c(set)
	}
	return set
}

// createSet and updateSet return the admission requests for a DaemonSet.
func createSet(raw []byte) *request {
	return &request{UID: "uid-request", Operation: admissionv1.Create, Resource: daemonSetResource, Namespace: "ns", Name: "agent", Object: raw}
}

func updateSet(raw, old []byte) *request {
	asked := createSet(raw)
	asked.Operation, asked.OldObject = admissionv1.Update, old
	return asked
}

func validated(t testing.TB, asked *request) *admissionv1.AdmissionResponse {
	t.Helper()
	response, _ := (&validator{}).answer(t.Context(), asked)
	return response
}

// fields returns the fields that a refusal names.
func fields(response *admissionv1.AdmissionResponse) []string {
	if response.Allowed || response.Result.Details == nil {
		return nil
	}
	var names []string
	for _, cause := range response.Result.Details.Causes {
		names = append(names, cause.Field)
	}
	return names
}

func image(value string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = value }
}

func grace(seconds int64) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].LivenessProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}, PeriodSeconds: int32(seconds),
		}
	}
}

// A short version of test/corpus, which compares with a real API server.
func TestValidationRefuses(t *testing.T) {
	tests := map[string]struct {
		set, old *v1alpha1.DaemonSet
		want     []string // the fields that are named; nil for a DaemonSet that is accepted
	}{
		"a valid one":               {set: validSet()},
		"no image":                  {set: validSet(image("")), want: []string{"spec.template.spec.containers[0].image"}},
		"a period below zero":       {set: validSet(grace(-1)), want: []string{"spec.template.spec.containers[0].livenessProbe.periodSeconds"}},
		"two mistakes":              {set: validSet(image(""), grace(-1)), want: []string{"spec.template.spec.containers[0].livenessProbe.periodSeconds", "spec.template.spec.containers[0].image"}},
		"an update to a valid one":  {set: validSet(), old: validSet(image("other"))},
		"an update to a mistake":    {set: validSet(image("")), old: validSet(), want: []string{"spec.template.spec.containers[0].image"}},
		"an existing mistake":       {set: validSet(image("")), old: validSet(image(""))},
		"one of two mistakes fixed": {set: validSet(image("")), old: validSet(image(""), grace(-1))},
		"a mistake beside another":  {set: validSet(image(""), grace(-1)), old: validSet(image("")), want: []string{"spec.template.spec.containers[0].livenessProbe.periodSeconds"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			asked := createSet(encode(t, test.set))
			if test.old != nil {
				asked = updateSet(encode(t, test.set), encode(t, test.old))
			}
			response := validated(t, asked)
			got, want := slices.Sorted(slices.Values(fields(response))), slices.Sorted(slices.Values(test.want))
			if diff := cmp.Diff(want, got); diff != "" || response.Allowed != (test.want == nil) {
				t.Errorf("allowed %v, fields (-want, +got):\n%s\n%+v", response.Allowed, diff, response.Result)
			}
			if !response.Allowed && (response.Result.Code != http.StatusUnprocessableEntity || response.Result.Reason != metav1.StatusReasonInvalid) {
				t.Errorf("result %+v, want the API server's for an invalid object", response.Result)
			}
			if len(response.Warnings) > 0 {
				t.Errorf("warnings %q, want none", response.Warnings)
			}
		})
	}
}

// Our own manifests cause neither an error nor a warning; those of real products cause no error.
func TestValidationTakesManifests(t *testing.T) {
	folders := map[string]bool{"../examples": true, "../examples/talking": true, "../test/corpus/testdata/accepted": false}
	if folder := os.Getenv("EVERYNODE_CORPUS"); folder != "" { // as in test/corpus
		folders[folder] = false
	}
	for folder, silent := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no manifests (%v)", folder, err)
		}
		for _, file := range files {
			for _, set := range daemonSetsOf(t, file) {
				response := validated(t, createSet(set))
				if !response.Allowed || (silent && len(response.Warnings) > 0) {
					t.Errorf("%s: allowed %v, %+v, warnings %q", file, response.Allowed, response.Result, response.Warnings)
				}
			}
		}
	}
}

func daemonSetsOf(t *testing.T, file string) [][]byte {
	t.Helper()
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = text.Close() }()
	var sets [][]byte
	for reader := utilyaml.NewYAMLOrJSONDecoder(text, 4096); ; {
		var object map[string]any
		if err := reader.Decode(&object); errors.Is(err, io.EOF) {
			return sets
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if object["kind"] == "DaemonSet" {
			sets = append(sets, encode(t, object))
		}
	}
}

func TestValidationRefusesWhatItCannotRead(t *testing.T) {
	lawful := encode(t, validSet())
	for name, asked := range map[string]*request{
		"nothing":   createSet(nil),
		"null":      createSet([]byte(`null`)),
		"a list":    createSet([]byte(`[]`)),
		"no object": updateSet(nil, lawful),
	} {
		t.Run(name, func(t *testing.T) {
			response := validated(t, asked)
			if response.Allowed || response.Result.Code != http.StatusBadRequest || !strings.Contains(response.Result.Message, "decoding the DaemonSet") {
				t.Errorf("allowed %v, result %+v; want a bad request", response.Allowed, response.Result)
			}
		})
	}
}

func TestValidationLeavesOtherRequests(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*request)
		want   string
	}{
		"DELETE":             {func(r *request) { r.Operation = admissionv1.Delete }, "remove DELETE of daemonsets from its configuration"},
		"UPDATE of a status": {func(r *request) { r.Operation, r.SubResource = admissionv1.Update, "status" }, "remove UPDATE of daemonsets from its configuration"},
		"a native DaemonSet": {func(r *request) { r.Resource.Group = "apps" }, "remove CREATE of daemonsets from its configuration"},
		"a pod":              {func(r *request) { r.Resource = podResource }, "remove CREATE of pods from its configuration"},
		"of a later version": {func(r *request) { r.Resource.Version = "v1" }, "remove CREATE of daemonsets from its configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := createSet([]byte(`{"spec":{}}`))
			test.change(asked)
			response := validated(t, asked)
			if !response.Allowed || len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], test.want) {
				t.Errorf("allowed %v, warnings %q; want it allowed with %q", response.Allowed, response.Warnings, test.want)
			}
		})
	}
}

// surge makes the DaemonSet create new pods beside the old ones.
func surge(set *v1alpha1.DaemonSet) {
	set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{
		MaxSurge: new(intstr.FromString("10%")), MaxUnavailable: new(intstr.FromInt32(0)),
	}}
}

func ports(ports ...corev1.ContainerPort) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Ports = ports }
}

func tolerating(tolerations ...corev1.Toleration) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Tolerations = tolerations }
}

func unranked(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.PriorityClassName = "" }

func onHostNetwork(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.HostNetwork = true }

func TestWarnings(t *testing.T) {
	web := ports(corev1.ContainerPort{ContainerPort: 80, HostPort: 8080})
	everything := corev1.Toleration{Operator: corev1.TolerationOpExists}
	tests := map[string]struct {
		set, old *v1alpha1.DaemonSet
		want     []string // a part of each warning
	}{
		"nothing wrong":                            {set: validSet()},
		"hostPort with maxSurge":                   {set: validSet(web, surge), want: []string{"hostPort 8080 with maxSurge"}},
		"a port in the host network with maxSurge": {set: validSet(ports(corev1.ContainerPort{ContainerPort: 80, HostPort: 80}), onHostNetwork, surge), want: []string{"hostPort 80 with maxSurge"}},
		"hostPort without maxSurge":                {set: validSet(web)},
		"maxSurge without hostPort":                {set: validSet(surge, ports(corev1.ContainerPort{ContainerPort: 80}))},
		"maxSurge with OnDelete, which ignores it": {set: validSet(web, surge, func(set *v1alpha1.DaemonSet) {
			set.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
		})},
		"no priority":                     {set: validSet(unranked), want: []string{"without priorityClassName"}},
		"tolerating everything":           {set: validSet(tolerating(corev1.Toleration{Key: "a"}, everything)), want: []string{"tolerations[1]: tolerates every taint"}},
		"tolerating every value of a key": {set: validSet(tolerating(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists}))},
		"a warning of apps/v1": {set: validSet(func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.NodeSelector = map[string]string{"beta.kubernetes.io/os": "linux"}
		}), want: []string{"deprecated since v1.14"}},
		"all at once": {set: validSet(web, surge, unranked, tolerating(everything)), want: []string{"hostPort 8080 with maxSurge", "without priorityClassName", "tolerations[0]"}},
		"an update of an object with the warning":       {set: validSet(unranked, image("new")), old: validSet(unranked)},
		"an update that introduces it":                  {set: validSet(unranked, web, surge), old: validSet(unranked, web), want: []string{"hostPort 8080 with maxSurge"}},
		"an update that fixes it":                       {set: validSet(), old: validSet(unranked)},
		"an update that introduces another of the kind": {set: validSet(tolerating(corev1.Toleration{Key: "a"}, everything)), old: validSet(), want: []string{"tolerations[1]"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			asked := createSet(encode(t, test.set))
			if test.old != nil {
				asked = updateSet(encode(t, test.set), encode(t, test.old))
			}
			response := validated(t, asked)
			if !response.Allowed {
				t.Fatalf("refused: %+v", response.Result)
			}
			checkWarnings(t, response.Warnings, test.want...)
		})
	}
}

// checkWarnings compares warnings, in order.
func checkWarnings(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("warnings %q, want %d: %q", got, len(want), want)
	}
	for i, warning := range got {
		if !strings.Contains(warning, want[i]) {
			t.Errorf("warning %q, want %q", warning, want[i])
		}
		if len(warning) > 120 {
			t.Errorf("warning %q has %d characters, want no more than a line", warning, len(warning))
		}
	}
}
