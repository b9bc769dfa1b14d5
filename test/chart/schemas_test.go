package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/everynode/everynode/test/labtest"
)

// The schemas are those of the Kubernetes version that Everynode is built from,
// in its module. Unknown fields are refused.
const swagger = "api/openapi-spec/swagger.json"

// ownSchemas are kinds of other projects, which hack/verify-chart.sh checks with their own types.
const ownSchemas = "ServiceMonitor,PrometheusRule"

type jsonSchema = map[string]any

var conform = struct {
	once          sync.Once
	path, schemas string
}{}

// TestMain keeps the schemas for all tests.
func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "schemas")
	if err != nil {
		panic(err)
	}
	conform.schemas = folder
	labtest.VerifyMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code)
	}))
}

// checkSchemas verifies named manifests against the schemas.
func checkSchemas(t *testing.T, manifests map[string][]byte) {
	t.Helper()
	folder := t.TempDir()
	for name, manifest := range manifests {
		if err := os.WriteFile(filepath.Join(folder, name+".yaml"), manifest, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := validate(t, folder); err != nil {
		t.Errorf("kubeconform: %v: %s", err, out)
	}
}

// validate checks all files of a folder in one call, because reading the schemas takes seconds.
func validate(t *testing.T, folder string) (string, error) {
	t.Helper()
	conform.once.Do(func() {
		writeSchemas(t, conform.schemas)
		conform.path = tool(t, "kubeconform")
	})
	out, err := exec.CommandContext(t.Context(), conform.path, "-strict", "-skip", ownSchemas,
		"-schema-location", conform.schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json", folder).CombinedOutput()
	return string(out), err
}

// writeSchemas converts the swagger of the API into one JSON schema for each kind, with the file names that kubeconform
// expects, and one file with the shared definitions.
func writeSchemas(t *testing.T, folder string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), swagger))
	if err != nil {
		t.Fatal(err)
	}
	var api struct{ Definitions map[string]jsonSchema }
	if err := json.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	write := func(name string, content any) {
		t.Helper()
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, definition := range api.Definitions {
		strict(definition)
		for _, kind := range kinds(definition) {
			write(kind, jsonSchema{"$ref": "definitions.json#/definitions/" + name})
		}
	}
	write("definitions.json", jsonSchema{"definitions": api.Definitions})
}

// kinds returns the file names for the kinds of a definition.
func kinds(definition jsonSchema) []string {
	var names []string
	list, _ := definition["x-kubernetes-group-version-kind"].([]any)
	for _, entry := range list {
		kind, _ := entry.(jsonSchema)
		group, _, _ := strings.Cut(fmt.Sprint(kind["group"]), ".")
		suffix := "-" + fmt.Sprint(kind["version"])
		if group != "" {
			suffix = "-" + group + suffix
		}
		names = append(names, strings.ToLower(fmt.Sprint(kind["kind"]))+suffix+".json")
	}
	return names
}

// strict makes a schema refuse unknown fields, and translates swagger's formats into
// JSON schema.
func strict(node jsonSchema) {
	properties, is := node["properties"].(jsonSchema)
	if is && node["additionalProperties"] == nil && node["type"] == "object" {
		node["additionalProperties"] = false
	}
	if node["format"] == "int-or-string" {
		delete(node, "format")
		node["type"] = []string{"string", "integer"}
	}
	if is {
		for _, property := range properties {
			if property, is := property.(jsonSchema); is {
				strict(property)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if below, is := node[key].(jsonSchema); is {
			strict(below)
		}
	}
}

// The check of schemas refuses what the API server would refuse.
func TestSchemasRefuse(t *testing.T) {
	const valid = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {maxUnavailable: 1}\n"
	tests := map[string]struct{ manifest, want string }{
		"nothing":            {valid, ""},
		"an unknown field":   {strings.Replace(valid, "maxUnavailable", "maximum", 1), "'maximum' not allowed"},
		"another type":       {strings.Replace(valid, "maxUnavailable: 1", "maxUnavailable: {}", 1), "'/spec/maxUnavailable': got object"},
		"an unknown kind":    {strings.Replace(valid, "PodDisruptionBudget", "PodDisruptions", 1), "could not find schema for PodDisruptions"},
		"an unknown version": {strings.Replace(valid, "policy/v1", "policy/v0", 1), "could not find schema for PodDisruptionBudget"},
		"a field twice":      {valid + "kind: PodDisruptionBudget\n", `key "kind" already set`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "a.yaml"), []byte(test.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := validate(t, folder)
			if (err != nil) != (test.want != "") || !strings.Contains(out, test.want) {
				t.Errorf("error %v, output %q, want %q", err, out, test.want)
			}
		})
	}
}
