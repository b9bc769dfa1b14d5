// Package deploy embeds the manifests rendered from the chart (chart/everynode), so that the lab
// applies the same manifests as users do.
package deploy

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Install is the CRD and every object of the chart's defaults; everynode-controller creates the
// webhook's certificate.
//
//go:embed install-selfmanaged.yaml
var Install []byte

// Apps is installed in addition where native DaemonSets are served.
//
//go:embed variants/apps.yaml
var Apps []byte

// Policy is installed instead of the webhook where policies of the API server place pods.
//
//go:embed variants/policy.yaml
var Policy []byte

// Primary is applied over Install where everynode-scheduler replaces kube-scheduler.
//
//go:embed variants/primary.yaml
var Primary []byte

// Objects reads a manifest; if kinds are given, only the objects of these kinds.
func Objects(manifest []byte, kinds ...string) ([]*unstructured.Unstructured, error) {
	wanted := map[string]bool{}
	for _, kind := range kinds {
		wanted[kind] = true
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w", err)
		}
		if len(object.Object) > 0 && (len(kinds) == 0 || wanted[object.GetKind()]) {
			objects = append(objects, object)
		}
	}
}
