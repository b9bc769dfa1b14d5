package schema

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	internalv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	"k8s.io/kubernetes/pkg/apis/apps/validation"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// The schema requires no field that apps/v1 does not: with each of them absent, apps/v1 reports another
// error than with a value. Fields that only apps/v1 requires, such as a container's image, are checked by the webhook
// with the same functions.
func TestRequiredIsWhatAppsRequires(t *testing.T) {
	s := mustServer(t)
	tried := 0
	s.visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		for _, name := range schema.Required {
			missing := append(slices.Clone(at), name)
			if at[0] != "spec" || own(missing) || unproven(missing.String()) {
				continue
			}
			tried++
			child := schema.Properties[name]
			with, without := faults(t, s.with(s.around(missing), missing, sample(&child))), faults(t, absent(s.with(s.around(missing), missing, nil), missing))
			if slices.Equal(with, without) && !strings.Contains(strings.Join(without, "\n"), strings.ReplaceAll(missing.String(), "[]", "[0]")) {
				t.Errorf("%s is required, and apps/v1 reports the same errors without it: %v", missing, with)
			}
		}
	})
	if tried < 100 {
		t.Errorf("%d fields are too few to prove anything", tried)
	}
}

// own reports whether a place is in a field of a DaemonSet's spec that apps/v1 does not have.
func own(at place) bool {
	if len(at) < 2 || at[0] != "spec" {
		return false
	}
	_, apps := fieldsOf(reflect.TypeFor[appsv1.DaemonSetSpec]())[at[1]]
	return !apps
}

// unproven are fields of objects that apps/v1 refuses as a whole in a template, which is tested elsewhere, or
// of a feature that is off in this process.
func unproven(path string) bool {
	return strings.Contains(path, "ephemeralContainers[].") || strings.Contains(path, "initContainers[].") ||
		strings.Contains(path, "evictionResponders") || strings.HasPrefix(path, "spec.template.spec.resources.claims")
}

// around returns a small DaemonSet with the fields that apps/v1 checks before a given one.
func (s *server) around(missing place) map[string]any {
	object := least()
	for of, value := range map[string]string{"resourceFieldRef.containerName": "main", "clusterTrustBundle.signerName": "example.com/signer"} {
		inside, name, _ := strings.Cut(of, ".")
		if i := slices.Index(missing, inside); i >= 0 {
			object = s.with(object, append(slices.Clone(missing[:i+1]), name), value)
		}
	}
	return object
}

// faults returns the errors for which apps/v1 refuses an object (k8s.io/kubernetes pkg/registry/apps/daemonset/strategy.go).
func faults(t *testing.T, object map[string]any) []string {
	t.Helper()
	var set appsv1.DaemonSet
	if err := json.Unmarshal(encode(object), &set); err != nil {
		return []string{err.Error()}
	}
	internalv1.SetObjectDefaults_DaemonSet(&set)
	var spec apps.DaemonSetSpec
	if err := internalv1.Convert_v1_DaemonSetSpec_To_apps_DaemonSetSpec(&set.Spec, &spec, nil); err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, err := range validation.ValidateDaemonSetSpec(&spec, field.NewPath("spec"), podutil.GetValidationOptionsFromPodTemplate(&spec.Template, nil)) {
		found = append(found, err.Error())
	}
	return found
}

// On an API server: fields that controller-gen considers required, and that apps/v1 accepts absent and
// null, with all kinds of writes.
func TestOptionalInApps(t *testing.T) {
	s := mustServer(t)
	c := labtest.Start(t, lab.Options{Placement: "direct", Without: []string{lab.Controller, lab.EverynodeScheduler}})
	versions := []string{"apps/v1", v1alpha1.GroupVersion.String()}
	for _, version := range versions {
		c.Must(c.Create(t.Context(), versioned(least(), version, "stored")))
	}
	const affinity = "spec.template.spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution.[]"
	for field, rest := range map[string]string{
		container + "livenessProbe.httpGet.httpHeaders.[].value": `{"name":"X-Probe"}`,
		"spec.template.spec.securityContext.sysctls.[].value":    `{"name":"net.ipv4.tcp_syncookies"}`,
		container + "lifecycle.preStop.sleep.seconds":            `{}`,
		"spec.template.spec.volumes.[].iscsi.lun":                `{"targetPortal":"10.0.0.1:3260","iqn":"iqn.2026-01.com.example:storage"}`,
		"spec.template.spec.volumes.[].scaleIO.secretRef":        `{"gateway":"https://example.com","system":"a","volumeName":"a"}`,
		affinity + ".preference":                                 `{"weight":1}`,
	} {
		field := at(field)
		var parent map[string]any
		c.Must(json.Unmarshal([]byte(rest), &parent))
		object := s.with(least(), field[:len(field)-1], parent)
		parent = maps.Clone(parent)
		parent[field[len(field)-1]] = nil
		for how, object := range map[string]map[string]any{"absent": object, "null": s.with(least(), field[:len(field)-1], parent)} {
			for way, write := range ways {
				for _, version := range versions {
					if err := write(c, versioned(object, version, "stored")); err != nil {
						t.Errorf("%s is %s, %s by %s: %v", field, how, version, way, err)
					}
				}
			}
		}
	}
}
