package main

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// maxDescriptions bounds all descriptions of a version, in bytes. A client-side kubectl apply stores the whole
// CRD in an annotation of at most 256 KiB; without descriptions it takes 110 KiB.
const maxDescriptions = 16 << 10

// describe keeps the descriptions of a DaemonSet's own fields, for kubectl explain, and removes those of the embedded
// pod template: they are core's, take 250 KiB, and kubectl explain pod shows them.
func describe(root *apiextensionsv1.JSONSchemaProps) error {
	const template path = ".spec.template"
	size := 0
	var missing path
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		if at != template && at.within(template) {
			schema.Description = ""
		} else if schema.Description == "" && !at.isElement() && at != ".metadata" {
			missing = at
		}
		size += len(schema.Description)
	})
	switch {
	case missing != "":
		return fmt.Errorf("%s has no description: add a comment to the field in api", missing)
	case size > maxDescriptions:
		return fmt.Errorf("the descriptions take %d bytes, more than %d: shorten the comments in api", size, maxDescriptions)
	}
	return nil
}
