package main

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Limits of strings, in characters, and of lists and maps. They exceed the needs of real workloads; the API
// server's limit on a request is 3 MiB for the whole object. docs/compatibility.md lists them.
const (
	maxLabelValue  = 63
	maxNameLength  = 253
	maxKeyLength   = 317     // a DNS subdomain of 253, a slash, a name of 63
	maxTextLength  = 4096    // paths (PATH_MAX), images, names of things outside of Kubernetes
	maxArgument    = 1 << 17 // a Linux program's argument or environment variable (MAX_ARG_STRLEN)
	maxAnnotations = 1 << 18 // all annotations of an object (k8s.io/apimachinery pkg/api/validation)

	maxItems        = 1024
	maxManyItems    = 8192 // command, args, values of a requirement
	maxVariables    = 4096 // env
	maxRequirements = 64
	maxValues       = 64
	maxLabels       = 256
)

// longStrings are passed on to programs: arguments, values, documents.
var longStrings = map[string]int64{
	"command": maxArgument, "args": maxArgument, "value": maxArgument, "gmsaCredentialSpec": maxArgument,
	"volumeAttributes": maxArgument, "options": maxArgument, "path": maxArgument, "userAnnotations": maxAnnotations,
	"annotations": maxAnnotations, "message": maxArgument,
}

var longLists = map[string]int64{"command": maxManyItems, "args": maxManyItems, "env": maxVariables, "values": maxManyItems}

// bound adds limits where there are none yet.
func bound(root *apiextensionsv1.JSONSchemaProps) error {
	if err := boundSelection(root); err != nil {
		return err
	}
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		switch {
		case !at.within(".spec") && !at.within(".status"): // the API server's own
		case schema.Type == "string" && len(schema.Enum) == 0:
			limit(&schema.MaxLength, longStrings[at.name()], maxTextLength)
		case schema.Type == "array":
			limit(&schema.MaxItems, longLists[at.name()], maxItems)
		case schema.Type == "object" && len(schema.Properties) == 0:
			limit(&schema.MaxProperties, 0, maxItems)
		}
	})
	return nil
}

func limit(field **int64, special, general int64) {
	switch {
	case *field != nil:
	case special != 0:
		*field = ptr(special)
	default:
		*field = ptr(general)
	}
}

// boundSelection limits the fields that the CEL rules read. Core bounds a label's key and value, but not the
// number of labels.
func boundSelection(root *apiextensionsv1.JSONSchemaProps) error {
	bounds := map[path]func(*apiextensionsv1.JSONSchemaProps){
		".spec.selector.matchLabels":                 properties(maxRequirements),
		".spec.selector.matchLabels{}":               length(maxLabelValue),
		".spec.selector.matchExpressions":            items(maxRequirements),
		".spec.selector.matchExpressions[].key":      length(maxKeyLength),
		".spec.selector.matchExpressions[].operator": length(maxLabelValue),
		".spec.selector.matchExpressions[].values":   items(maxValues),
		".spec.selector.matchExpressions[].values[]": length(maxLabelValue),
		".spec.template.metadata.labels":             properties(maxLabels),
		".spec.template.metadata.labels{}":           length(maxLabelValue),
	}
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		if set, ok := bounds[at]; ok {
			set(schema)
			delete(bounds, at)
		}
	})
	for at := range bounds {
		return fmt.Errorf("the schema has no %s", at)
	}
	return nil
}

func properties(n int64) func(*apiextensionsv1.JSONSchemaProps) {
	return func(schema *apiextensionsv1.JSONSchemaProps) { schema.MaxProperties = &n }
}

func items(n int64) func(*apiextensionsv1.JSONSchemaProps) {
	return func(schema *apiextensionsv1.JSONSchemaProps) { schema.MaxItems = &n }
}

func length(n int64) func(*apiextensionsv1.JSONSchemaProps) {
	return func(schema *apiextensionsv1.JSONSchemaProps) { schema.MaxLength = &n }
}
