package main

import (
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// optionalInCore are fields that controller-gen considers required, because their Go type has no omitempty, and
// that core treats as absent if they have their zero value (k8s.io/kubernetes pkg/apis/core/validation).
var optionalInCore = []string{
	".httpHeaders[].value", ".sysctls[].value", ".sleep.seconds", ".iscsi.lun", ".scaleIO.secretRef", ".nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference",
}

func relaxRequired(root *apiextensionsv1.JSONSchemaProps) error {
	spec := root.Properties["spec"]
	template := spec.Properties["template"]
	template.Required = append(template.Required, "spec") // core requires fields in it, and CEL rules read it
	spec.Properties["template"] = template
	found := map[string]bool{}
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		schema.Required = slices.DeleteFunc(schema.Required, func(name string) bool {
			return slices.ContainsFunc(optionalInCore, func(suffix string) bool {
				isOptional := strings.HasSuffix(string(at)+"."+name, suffix)
				found[suffix] = found[suffix] || isOptional
				return isOptional
			})
		})
	})
	if len(found) < len(optionalInCore) || slices.ContainsFunc(optionalInCore, func(suffix string) bool { return !found[suffix] }) {
		return fmt.Errorf("required fields found: %v; want all", found)
	}
	return nil
}
