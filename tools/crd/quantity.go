package main

import (
	"errors"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// quantityPattern is core's grammar (k8s.io/apimachinery pkg/api/resource parseQuantityString) with the spaces
// that its decoder trims, and exponents of two digits. The largest meaningful number is 2^63-1, the smallest
// 1n. The cost of an exponent: 1e99 is parsed, added, compared and printed in 40 µs, 1e999 in 0.3 ms, 1e9999
// in 0.3 s, 1e999999 in more than ten minutes; parsing 1e-40000000 alone takes seconds.
const quantityPattern = `^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?\s*$`

// maxQuantityLength allows all significant digits: 19 before the point and 9 after it.
const maxQuantityLength = 64

func relaxQuantities(root *apiextensionsv1.JSONSchemaProps) error {
	found := 0
	walk(root, func(_ path, schema *apiextensionsv1.JSONSchemaProps) {
		if isIntOrString(schema) && schema.Pattern != "" {
			found++
			*schema = quantity()
		}
	})
	if found == 0 {
		return errors.New("no quantity found: check whether controller-gen writes them differently now")
	}
	return nil
}

// quantity accepts only a number or a string. A structural schema has no type for "number or string", so the
// field is untyped and the other types are excluded one by one: a stored object, list or boolean would not
// decode in any typed client.
//
// A number has the same bounds as a string: the largest that Kubernetes computes with and the smallest that is
// not rounded. The API server compares an integer with a bound that was truncated to an int64, so the bound is
// the largest float64 that is one.
func quantity() apiextensionsv1.JSONSchemaProps {
	return apiextensionsv1.JSONSchemaProps{
		XPreserveUnknownFields: ptr(true),
		Pattern:                quantityPattern,
		MaxLength:              ptr[int64](maxQuantityLength),
		Maximum:                ptr[float64](1<<63 - 1<<10),
		Minimum:                ptr[float64](-1<<63 + 1<<10),
		AnyOf: []apiextensionsv1.JSONSchemaProps{
			{Minimum: ptr(1e-9)}, {Maximum: ptr(-1e-9)}, {Minimum: ptr(0.0), Maximum: ptr(0.0)},
		},
		MinItems:      ptr[int64](1),
		MaxItems:      ptr[int64](0),
		MinProperties: ptr[int64](1),
		MaxProperties: ptr[int64](0),
		Not:           &apiextensionsv1.JSONSchemaProps{Enum: []apiextensionsv1.JSON{{Raw: []byte("true")}, {Raw: []byte("false")}}},
	}
}
