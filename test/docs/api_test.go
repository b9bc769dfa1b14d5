package docs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/test/docs/reference"
)

// docs/reference/api.md is up to date: it has every field of the CRD except those of the embedded pod template.
func TestReferenceOfAPI(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "deploy", "chart", "everynode", "crds", "everynode.dev_daemonsets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
		t.Fatal(err)
	}
	version := crd.Spec.Versions[0]
	schema := version.Schema.OpenAPIV3Schema
	page := reference.New(crd.Spec.Names.Kind, "the CRD, whose descriptions are the comments in api/v1alpha1/types.go")
	page.Line("%s", reference.Sentence(schema.Description))
	page.Table([]string{"", ""}, [][]string{
		{"apiVersion", reference.Code(crd.Spec.Group + "/" + version.Name)},
		{"kind", reference.Code(crd.Spec.Names.Kind)},
		{"scope", string(crd.Spec.Scope)},
		{"resource", reference.Code(crd.Spec.Names.Plural + "." + crd.Spec.Group)},
		{"short names", reference.Code(strings.Join(crd.Spec.Names.ShortNames, ", "))},
		{"categories", reference.Code(strings.Join(crd.Spec.Names.Categories, ", "))},
	})
	page.Line("`kubectl explain %s` prints the same. [compatibility.md](../compatibility.md) has the differences from apps/v1, and the limits of strings and lists.", crd.Spec.Names.ShortNames[0])
	for _, part := range []string{"spec", "status"} {
		f := fields{}
		of := schema.Properties[part]
		f.add(part, &of, slices.Contains(schema.Required, part))
		page.Line("## %s", part)
		page.Table([]string{"field", "type", "default", "meaning"}, f.rows)
		if len(f.rules) > 0 {
			page.Line("The API server refuses a DaemonSet that breaks one of these rules:")
			page.Table([]string{"field", "rule"}, f.rules)
		}
	}
	reference.Check(t, "api.md", page)
}

// fields returns the rows of a field and those below it.
type fields struct{ rows, rules [][]string }

func (f *fields) add(at string, schema *apiextensionsv1.JSONSchemaProps, required bool) {
	meaning := reference.Sentence(schema.Description)
	if required {
		meaning = "Required. " + meaning
	}
	if schema.Minimum != nil && schema.Type == "integer" {
		meaning += fmt.Sprintf(" Minimum: %v.", *schema.Minimum)
	}
	var values []string
	for _, value := range schema.Enum {
		values = append(values, reference.Code(string(value.Raw)))
	}
	if len(values) > 0 {
		meaning += " One of " + strings.Join(values, ", ") + "."
	}
	initial := ""
	if schema.Default != nil {
		initial = string(schema.Default.Raw)
	}
	f.rows = append(f.rows, []string{reference.Code(at), typeOf(schema), reference.Code(initial), meaning})
	for _, rule := range schema.XValidations {
		row := []string{reference.Code(at + rule.FieldPath), reference.Sentence(rule.Message)}
		if !slices.ContainsFunc(f.rules, func(other []string) bool { return slices.Equal(row, other) }) {
			f.rules = append(f.rules, row)
		}
	}
	if at != "spec.template" {
		f.addBelow(at, schema)
	}
}

func (f *fields) addBelow(at string, schema *apiextensionsv1.JSONSchemaProps) {
	if schema.Items != nil && schema.Items.Schema != nil {
		f.addBelow(at+"[]", schema.Items.Schema)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		child := schema.Properties[name]
		f.add(at+"."+name, &child, slices.Contains(schema.Required, name))
	}
}

// typeOf returns a type as kubectl explain prints it.
func typeOf(schema *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case schema.XIntOrString:
		return "integer or string"
	case schema.Type == "array":
		return "list of " + typeOf(schema.Items.Schema)
	case schema.Type == "object" && schema.AdditionalProperties != nil:
		return "map of " + typeOf(schema.AdditionalProperties.Schema)
	case schema.Format != "" && schema.Type == "string":
		return schema.Format
	}
	return schema.Type
}
