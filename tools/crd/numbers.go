package main

import (
	"fmt"
	"math"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// timePattern is RFC 3339, which Go parses. The API server's own check of date-time accepts more, for example a
// time without a zone (k8s.io/kube-openapi pkg/validation/strfmt time.go).
const timePattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`

// limitNumbers gives an IntOrString the range of an int32, and times Go's format. Plain integers have a range
// by their format, which the API server enforces (k8s.io/kube-openapi pkg/validation/validate
// IsValueValidAgainstRange).
func limitNumbers(root *apiextensionsv1.JSONSchemaProps) error {
	var err error
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		switch {
		case isIntOrString(schema):
			schema.Minimum, schema.Maximum = ptr[float64](math.MinInt32), ptr[float64](math.MaxInt32)
			schema.MaxLength = ptr[int64](maxNameLength)
		case schema.Type == "integer" && schema.Format != "int32" && schema.Format != "int64":
			err = fmt.Errorf("%s is an integer of format %q: it needs int32 or int64, or it has no range", at, schema.Format)
		case schema.Format == "date-time":
			schema.Pattern = timePattern
			// For a string with a format the API server also accepts a list, and does not check its items.
			schema.MinItems, schema.MaxItems = ptr[int64](1), ptr[int64](0)
		}
	})
	return err
}
