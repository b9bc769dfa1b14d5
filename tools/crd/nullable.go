package main

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// allowNulls lets null stand for absent wherever core's decoder does, which is everywhere, unless
// something says otherwise: a field with a default, for null would be stored in the place of the
// default; a key of a keyed list, and its items; and a required field, which core requires as well.
// Create and update drop a null that may not be there, server-side apply refuses it.
func allowNulls(root *apiextensionsv1.JSONSchemaProps) error {
	spec := root.Properties["spec"]
	allowNullsIn(&spec)
	root.Properties["spec"] = spec
	return nil
}

// allowNullsIn changes what is below a schema; keys are the properties that identify it in its list.
func allowNullsIn(schema *apiextensionsv1.JSONSchemaProps, keys ...string) {
	for name, child := range schema.Properties {
		child.Nullable = child.Default == nil && !slices.Contains(schema.Required, name) && !slices.Contains(keys, name)
		allowNullsIn(&child)
		schema.Properties[name] = child
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		keyed := schema.XListType != nil && *schema.XListType != "atomic"
		schema.Items.Schema.Nullable = !keyed
		allowNullsIn(schema.Items.Schema, schema.XListMapKeys...)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		schema.AdditionalProperties.Schema.Nullable = true
		allowNullsIn(schema.AdditionalProperties.Schema)
	}
}
