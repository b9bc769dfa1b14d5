package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
)

// place is the path of a schema: a property's name, "[]" for the items of a list or "{}" for the values of a
// map.
type place []string

func (p place) String() string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.Join(p, "."), ".[]", "[]"), ".{}", "{}")
}

// visit calls f for every schema below .spec and .status, in a fixed order.
func (s *server) visit(f func(place, *apiextensions.JSONSchemaProps)) {
	for _, part := range []string{"spec", "status"} {
		schema := s.props.Properties[part]
		visitBelow(place{part}, &schema, f)
	}
}

func visitBelow(at place, schema *apiextensions.JSONSchemaProps, f func(place, *apiextensions.JSONSchemaProps)) {
	f(at, schema)
	below := func(step string, child *apiextensions.JSONSchemaProps) {
		visitBelow(append(slices.Clone(at), step), child, f)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		child := schema.Properties[name]
		below(name, &child)
	}
	if schema.Items != nil {
		below("[]", schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		below("{}", schema.AdditionalProperties.Schema)
	}
}

// with returns the document with a value at a place, and the fields that the schema requires around it.
func (s *server) with(document map[string]any, at place, value any) map[string]any {
	return put(s.props, document, at, value).(map[string]any)
}

func put(schema *apiextensions.JSONSchemaProps, here any, at place, value any) any {
	if len(at) == 0 {
		return value
	}
	switch at[0] {
	case "[]":
		list, _ := here.([]any)
		if len(list) == 0 {
			list = []any{sample(schema.Items.Schema)}
		}
		return append([]any{put(schema.Items.Schema, list[0], at[1:], value)}, list[1:]...)
	case "{}":
		object, _ := here.(map[string]any)
		object = maps.Clone(object)
		if object == nil {
			object = map[string]any{}
		}
		object["key"] = put(schema.AdditionalProperties.Schema, nil, at[1:], value)
		return object
	}
	object, _ := here.(map[string]any)
	if object = maps.Clone(object); object == nil {
		object = sample(schema).(map[string]any)
	}
	child := schema.Properties[at[0]]
	object[at[0]] = put(&child, object[at[0]], at[1:], value)
	return object
}

// sample returns a minimal value that a schema accepts.
func sample(schema *apiextensions.JSONSchemaProps) any {
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Format == "date-time":
		return "2026-01-02T03:04:05Z"
	case schema.XIntOrString || schema.Type == "integer" || schema.Type == "number":
		if schema.Minimum != nil {
			return max(1, int64(*schema.Minimum))
		}
		return int64(1)
	case schema.Type == "":
		return "1"
	case schema.Type == "boolean":
		return true
	case schema.Type == "string":
		return "a"
	case schema.Type == "array":
		return []any{}
	}
	object := map[string]any{}
	for _, name := range schema.Required {
		child := schema.Properties[name]
		object[name] = sample(&child)
	}
	return object
}

// encode encodes a document with json.RawMessage verbatim, valid or not.
func encode(document any) []byte {
	raw, err := json.Marshal(document)
	if err != nil { // cannot happen: the values are of this package
		panic(err)
	}
	return raw
}
