package main

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// allowNulls accepts null for absent as core's decoder does, which is everywhere except in a field with a
// default, where null would be stored instead of the default; in a key of a keyed list, and its items; and in a
// required field, which core requires as well. Create and update drop a null that is not allowed; server-side
// apply refuses it.
func allowNulls(root *apiextensionsv1.JSONSchemaProps) error {
	spec := root.Properties["spec"]
	allowNullsIn(&spec)
	root.Properties["spec"] = spec
	return nil
}

// allowNullsIn changes the schemas below a schema; keys are the properties that identify it in its list.
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
