package main

import apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

// In a keyed list of apps/v1, managers of server-side apply own entries; an atomic list belongs to one manager
// as a whole, and another's forced entry replaces it. A keyed list of a CRD refuses two entries of one key,
// which apps/v1 stores in some lists. docs/compatibility.md explains each list: all stay keyed, except those in
// which duplicates are used and meaningful.
var atomicLists = map[string]bool{
	"ports": true, // one containerPort may have two host ports
}

func keyLists(root *apiextensionsv1.JSONSchemaProps) error {
	walk(root, func(at path, schema *apiextensionsv1.JSONSchemaProps) {
		switch {
		case schema.Type != "array":
		case atomicLists[at.name()]:
			schema.XListType, schema.XListMapKeys = nil, nil
		case at.name() == "finalizers": // the template's; controller-gen omits that it is a set
			schema.XListType = ptr("set")
		}
	})
	return nil
}
