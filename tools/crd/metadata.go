package main

import (
	"errors"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// completeMetadata adds the fields of ObjectMeta that controller-gen omits from a template's metadata. They do
// not affect pods, but templates contain them: generators write creationTimestamp: null.
func completeMetadata(root *apiextensionsv1.JSONSchemaProps) error {
	found := 0
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		if at.name() != "metadata" || len(schema.Properties) == 0 {
			return
		}
		found++
		for name, field := range objectMeta() {
			if _, known := schema.Properties[name]; !known {
				schema.Properties[name] = field
			}
		}
	})
	if found == 0 {
		return errors.New("no template's metadata has fields: run controller-gen with generateEmbeddedObjectMeta")
	}
	return nil
}

func objectMeta() map[string]apiextensionsv1.JSONSchemaProps {
	text := apiextensionsv1.JSONSchemaProps{Type: "string"}
	number := apiextensionsv1.JSONSchemaProps{Type: "integer", Format: "int64"}
	time := apiextensionsv1.JSONSchemaProps{Type: "string", Format: "date-time"}
	boolean := apiextensionsv1.JSONSchemaProps{Type: "boolean"}
	return map[string]apiextensionsv1.JSONSchemaProps{
		"generateName": text, "selfLink": text, "uid": text, "resourceVersion": text,
		"generation": number, "deletionGracePeriodSeconds": number,
		"creationTimestamp": time, "deletionTimestamp": time,
		"ownerReferences": list(map[string]apiextensionsv1.JSONSchemaProps{
			"apiVersion": text, "kind": text, "name": text, "uid": text, "controller": boolean, "blockOwnerDeletion": boolean,
		}),
		"managedFields": list(map[string]apiextensionsv1.JSONSchemaProps{
			"manager": text, "operation": text, "apiVersion": text, "time": time, "fieldsType": text, "subresource": text,
			"fieldsV1": {Type: "object", XPreserveUnknownFields: ptr(true)},
		}),
	}
}

// list is an atomic list of objects.
func list(properties map[string]apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	return apiextensionsv1.JSONSchemaProps{
		Type:      "array",
		XListType: ptr("atomic"),
		Items:     &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: properties}},
	}
}
