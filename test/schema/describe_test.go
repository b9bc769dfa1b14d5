package schema

import (
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
)

// kubectl explain describes every field of a DaemonSet, and the template as a whole: its fields are a pod's.
func TestFieldsAreDescribed(t *testing.T) {
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	s.visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		inTemplate := len(at) > 2 && at[0] == "spec" && at[1] == "template"
		isElement := slices.Contains([]string{"[]", "{}"}, at[len(at)-1])
		switch {
		case inTemplate && schema.Description != "":
			t.Errorf("%s has a description, which makes the CRD too large for client-side kubectl apply", at)
		case !inTemplate && !isElement && schema.Description == "":
			t.Errorf("%s has no description", at)
		}
		described[at.String()] = schema.Description
	})
	for _, field := range []string{
		"spec.updateStrategy", "spec.updateStrategy.rollingUpdate.maxUnavailable", "spec.template", "status.conditions",
	} {
		if described[field] == "" {
			t.Errorf("%s has no description", field)
		}
	}
}
