// Command crd makes the CRD that controller-gen wrote as lenient as core is with a pod template,
// so that a manifest that apps/v1 accepts is accepted. It rewrites the file named by its argument:
//
//   - A quantity may be any number or string that core parses: core takes `cpu: 0.5`, a CRD of
//     type int-or-string does not.
//   - Lists lose the map keys that core does not enforce: core stores two equal environment
//     variables or ports with a warning at most, a list of type map refuses them.
//   - The selector and the template's labels get bounds, without which the API server cannot
//     estimate the cost of the CEL rules and refuses the CRD.
package main

import (
	"fmt"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: crd FILE")
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	for i := range crd.Spec.Versions {
		spec := crd.Spec.Versions[i].Schema.OpenAPIV3Schema.Properties["spec"]
		if err := relax(&spec); err != nil {
			return fmt.Errorf("%s, version %s: %w", args[0], crd.Spec.Versions[i].Name, err)
		}
	}
	out, err := marshal(&crd)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], out, 0o644)
}

// relax changes the schema of a DaemonSet's spec in place.
func relax(spec *apiextensionsv1.JSONSchemaProps) error {
	template, ok := spec.Properties["template"]
	if !ok {
		return fmt.Errorf("the spec has no template")
	}
	quantities := 0
	walk("", &template, func(name string, schema *apiextensionsv1.JSONSchemaProps) {
		if isQuantity(schema) {
			quantities++
			*schema = quantity()
		}
		if schema.XListType != nil && *schema.XListType == "map" && !uniqueInCore[name] {
			schema.XListType, schema.XListMapKeys = nil, nil
		}
	})
	if quantities == 0 {
		return fmt.Errorf("no quantity found: does controller-gen write them in another way now?")
	}
	spec.Properties["template"] = template
	return bound(spec)
}

// uniqueInCore are the lists whose keys core itself holds unique (k8s.io/kubernetes
// pkg/apis/core/validation), so that the map keys refuse nothing more and server-side apply
// merges them by key.
var uniqueInCore = map[string]bool{
	"containers": true, "initContainers": true, "ephemeralContainers": true, "volumes": true,
	"volumeMounts": true, "volumeDevices": true, "topologySpreadConstraints": true,
	"resourceClaims": true, "claims": true, "schedulingGates": true,
}

// isQuantity tells resource.Quantity from intstr.IntOrString, which has no pattern.
func isQuantity(schema *apiextensionsv1.JSONSchemaProps) bool {
	return schema.XIntOrString && schema.Pattern != ""
}

// quantity takes a number or a string and nothing else. A structural schema has no type for
// "number or string", so that the field is untyped and the other types are shut out one by one:
// an object, a list or a boolean that got stored would not decode in any typed client.
// The pattern, for strings, is core's grammar with the spaces that its decoder trims.
func quantity() apiextensionsv1.JSONSchemaProps {
	yes, zero, one := true, int64(0), int64(1)
	return apiextensionsv1.JSONSchemaProps{
		XPreserveUnknownFields: &yes,
		Pattern:                `^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]+)?\s*$`,
		MinItems:               &one,
		MaxItems:               &zero,
		MinProperties:          &one,
		MaxProperties:          &zero,
		Not:                    &apiextensionsv1.JSONSchemaProps{Enum: []apiextensionsv1.JSON{{Raw: []byte("true")}, {Raw: []byte("false")}}},
	}
}

// The bounds of what the CEL rules read. Core bounds a label's key and value itself and the
// number of labels not at all; nobody selects by more.
const (
	maxRequirements = 64
	maxValues       = 64
	maxLabels       = 256
	maxKeyLength    = 317 // a DNS subdomain of 253, a slash, a name of 63
	maxValueLength  = 63
)

func bound(spec *apiextensionsv1.JSONSchemaProps) error {
	selector, ok := spec.Properties["selector"]
	if !ok {
		return fmt.Errorf("the spec has no selector")
	}
	value := apiextensionsv1.JSONSchemaProps{Type: "string", MaxLength: ptr(maxValueLength)}

	labels := selector.Properties["matchLabels"]
	labels.MaxProperties = ptr(maxRequirements)
	labels.AdditionalProperties.Schema = &value
	selector.Properties["matchLabels"] = labels

	expressions := selector.Properties["matchExpressions"]
	expressions.MaxItems = ptr(maxRequirements)
	item := expressions.Items.Schema
	key, operator, values := item.Properties["key"], item.Properties["operator"], item.Properties["values"]
	key.MaxLength, operator.MaxLength = ptr(maxKeyLength), ptr(maxValueLength)
	values.MaxItems, values.Items.Schema = ptr(maxValues), &value
	item.Properties["key"], item.Properties["operator"], item.Properties["values"] = key, operator, values
	selector.Properties["matchExpressions"] = expressions
	spec.Properties["selector"] = selector

	template := spec.Properties["template"]
	metadata := template.Properties["metadata"]
	templateLabels, ok := metadata.Properties["labels"]
	if !ok {
		return fmt.Errorf("the template's metadata has no labels: run controller-gen with generateEmbeddedObjectMeta")
	}
	templateLabels.MaxProperties = ptr(maxLabels)
	templateLabels.AdditionalProperties.Schema = &value
	metadata.Properties["labels"] = templateLabels
	template.Properties["metadata"] = metadata
	spec.Properties["template"] = template
	return nil
}

// walk visits a schema and all below it; name is the property that a schema belongs to.
func walk(name string, schema *apiextensionsv1.JSONSchemaProps, visit func(string, *apiextensionsv1.JSONSchemaProps)) {
	visit(name, schema)
	for property, child := range schema.Properties {
		walk(property, &child, visit)
		schema.Properties[property] = child
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		walk("", schema.Items.Schema, visit)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		walk("", schema.AdditionalProperties.Schema, visit)
	}
}

// marshal leaves out the empty status that a Go value of the type always has.
func marshal(crd *apiextensionsv1.CustomResourceDefinition) ([]byte, error) {
	raw, err := yaml.Marshal(crd)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := yaml.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	delete(object, "status")
	if raw, err = yaml.Marshal(object); err != nil {
		return nil, err
	}
	return append([]byte("---\n"), raw...), nil
}

func ptr(n int64) *int64 { return &n }
