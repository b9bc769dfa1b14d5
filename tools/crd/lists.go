package main

import apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

// Of a list that is keyed in apps/v1, managers of server-side apply own entries; of an atomic list one
// manager owns the whole, and another's forced entry replaces it. A keyed list of a CRD refuses two
// entries of one key, which apps/v1 stores in some lists. docs/compatibility.md says what each list
// is here and why: all stay keyed, but for those in which duplicates are in use and mean something.
var atomicLists = map[string]bool{
	"ports": true, // one containerPort may have two host ports
}

func keyLists(root *apiextensionsv1.JSONSchemaProps) error {
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		switch {
		case schema.Type != "array":
		case atomicLists[at.name()]:
			schema.XListType, schema.XListMapKeys = nil, nil
		case at.name() == "finalizers": // the template's; controller-gen leaves out that it is a set
			schema.XListType = ptr("set")
		}
	})
	return nil
}
