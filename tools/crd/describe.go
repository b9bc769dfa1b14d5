package main

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// maxDescriptions is the room, in bytes, for all descriptions of a version. A client-side kubectl apply keeps the whole
// CRD in an annotation, for which there are 256 KiB; without any description it takes 110 KiB of them.
const maxDescriptions = 16 << 10

// describe keeps the descriptions of a DaemonSet's own fields, for kubectl explain, and removes those of the embedded
// pod template: they are core's, have 250 KiB, and kubectl explain pod shows them.
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
		return fmt.Errorf("%s has no description: give the field in api a comment", missing)
	case size > maxDescriptions:
		return fmt.Errorf("the descriptions have %d bytes, more than %d: shorten the comments in api", size, maxDescriptions)
	}
	return nil
}
