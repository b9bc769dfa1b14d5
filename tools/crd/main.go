// Command crd makes the CRD of controller-gen as lenient as core is with a pod template, so that it accepts
// every manifest that apps/v1 accepts, and no more lenient than the decoder of a typed client, so that every
// stored object can be decoded. It rewrites the file named by its argument:
//
//   - A quantity may be any number or string that core parses, within bounds that keep parsing and arithmetic
//     cheap (quantity.go).
//   - Integers have the range of their Go type, also where a string is allowed, and times have the format that
//     Go parses (numbers.go).
//   - Every string, list and map has a limit (bounds.go). The API server also needs the limits to estimate the
//     cost of the CEL rules; without them it refuses the CRD.
//   - Lists keep the map keys that core enforces, and those by which managers of server-side apply share a list
//     (lists.go).
//   - The fields of a DaemonSet have descriptions, those of the embedded template have none (describe.go).
//   - The metadata of a template has all fields of ObjectMeta (metadata.go).
//   - A field is required where core requires it, and null means absent, as for core's decoder (optional.go,
//     nullable.go).
package main

import (
	"fmt"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: crd FILE")
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	for i := range crd.Spec.Versions {
		if err := adapt(crd.Spec.Versions[i].Schema.OpenAPIV3Schema); err != nil {
			return fmt.Errorf("%s, version %s: %w", args[0], crd.Spec.Versions[i].Name, err)
		}
	}
	out, err := marshal(&crd)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], out, 0o644)
}

// adapt changes the schema of a DaemonSet in place.
func adapt(root *apiextensionsv1.JSONSchemaProps) error {
	for _, step := range []func(*apiextensionsv1.JSONSchemaProps) error{
		describe, completeMetadata, relaxQuantities, limitNumbers, keyLists, relaxRequired, bound, allowNulls,
	} {
		if err := step(root); err != nil {
			return err
		}
	}
	return nil
}

// marshal omits the empty status that a Go value of the type always has.
func marshal(crd *apiextensionsv1.CustomResourceDefinition) ([]byte, error) {
	raw, err := yaml.Marshal(crd)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := yaml.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	delete(object, "status")
	if raw, err = yaml.Marshal(object); err != nil {
		return nil, err
	}
	return append([]byte("---\n"), raw...), nil
}
