package main

import (
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// path is the path of a schema: .spec.template.spec.containers[].resources.limits{} is the schema of each value
// of that map.
type path string

// name returns the property that a schema, or its list or map, is the value of.
func (p path) name() string {
	name := p[strings.LastIndexByte(string(p), '.')+1:]
	return strings.TrimRight(string(name), "[]{}")
}

// within reports whether p is below a path, or that path itself.
func (p path) within(other path) bool { return strings.HasPrefix(string(p), string(other)) }

// isElement reports whether p leads to the elements of a list or the values of a map.
func (p path) isElement() bool {
	return strings.HasSuffix(string(p), "[]") || strings.HasSuffix(string(p), "{}")
}

// walk visits a schema and all below it, parents first.
func walk(root *apiextensionsv1.JSONSchemaProps, visit func(path, *apiextensionsv1.JSONSchemaProps)) {
	walkBelow("", root, visit)
}

func walkBelow(at path, schema *apiextensionsv1.JSONSchemaProps, visit func(path, *apiextensionsv1.JSONSchemaProps)) {
	visit(at, schema)
	for property, child := range schema.Properties {
		walkBelow(at+"."+path(property), &child, visit)
		schema.Properties[property] = child
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		walkBelow(at+"[]", schema.Items.Schema, visit)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		walkBelow(at+"{}", schema.AdditionalProperties.Schema, visit)
	}
}

// isIntOrString reports whether a schema is that of an intstr.IntOrString or, with a pattern, of a
// resource.Quantity as controller-gen writes it.
func isIntOrString(schema *apiextensionsv1.JSONSchemaProps) bool { return schema.XIntOrString }

func ptr[T any](value T) *T { return &value }
